"""Writing objects that were made of a few words, and the flags that all such commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from steersman import kinds
from steersman.cli import session
from steersman.cli.command import Command, dry_run_option, given, manager_option, result_option
from steersman.cli.generators import Data, message
from steersman.cli.results import Results

F = TypeVar("F", bound=Callable[..., Any])


def making_options(command: F) -> F:
    """`-n --field-manager --dry-run -o`."""
    for option in (result_option, dry_run_option, manager_option, session.namespace_option):
        command = option(command)
    return command


def store(ctx: click.Context, data: Data, *, verb: str = "created") -> Any:
    """Creates the object that plain data says, as the command's flags ask, and says so.

    Returns:
        The object as stored, or as it would be.

    Raises:
        CommandError: the data is no such object.
    """
    namespace, dry_run, manager = (given(ctx, name) for name in ("namespace", "dry_run", "manager"))
    obj = message(data)
    results = Results(given(ctx, "fmt"), dry_run)
    if dry_run == "client":
        if namespace and kinds.of(obj).namespaced:
            obj.metadata.namespace = namespace
        results.show(obj, verb)
        results.close()
        return obj

    async def work(api: Any) -> Any:
        return await api.resource(type(obj)).create(obj, field_manager=manager, dry_run=dry_run == "server")

    made = session.run(ctx, namespace, work)
    results.show(made, verb)
    results.close()
    return made


def maker(
    group: click.Group, name: str, *aliases: str, examples: str
) -> Callable[[Callable[..., Data]], click.Command]:
    """Makes a subcommand of `create` of a function that makes plain data out of the command's words."""

    def decorate(make: Callable[..., Data]) -> click.Command:
        own: list[click.Parameter] = list(reversed(getattr(make, "__click_params__", [])))

        @making_options
        def body(namespace: str | None, manager: str, dry_run: str, fmt: str | None, **words: Any) -> None:
            store(click.get_current_context(), make(**words))

        given: list[click.Parameter] = list(reversed(getattr(body, "__click_params__", [])))
        command = Command(
            name, params=[*own, *given], callback=body, help=make.__doc__, epilog="\b\nExamples:\n" + examples
        )
        group.add_command(command)
        for alias in aliases:
            group.add_command(_hidden(command, alias), alias)
        return command

    return decorate


def _hidden(command: click.Command, name: str) -> click.Command:
    """The same command under another name, which help does not show."""
    return Command(
        name, params=command.params, callback=command.callback, help=command.help, epilog=command.epilog, hidden=True
    )
