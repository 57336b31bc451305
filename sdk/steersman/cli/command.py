"""What a command is made of when it changes something: kubectl's ways of writing flags, and the flags of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from steersman.cli import session
from steersman.cli.failures import CommandError
from steersman.cli.flags import plain

# Who writes when nobody else is named.
MANAGER = "steer"
F = TypeVar("F", bound=Callable[..., Any])


class Command(click.Command):
    """A command whose flags may be written as kubectl takes them.

    `--wait=false` and `--wait=true` mean `--no-wait` and `--wait`, for every flag that is on or off; `-o=yaml` is
    `-o yaml`; and `--dry-run` alone means `--dry-run=server`, never taking the next word for its value.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the words after the command's name."""
        return super().parse_args(ctx, plain(self.params, args))


class Group(click.Group):
    """A group of such commands."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the words after the group's name."""
        return super().parse_args(ctx, plain(self.params, args))


class Span(click.ParamType[float]):
    """A span of time such as 90s, 5m or 1h30m, as seconds; a number alone is seconds."""

    name = "SPAN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds of a text."""
        if isinstance(value, (int, float)):
            return float(value)
        try:
            return float(session.seconds(str(value)))
        except CommandError as error:
            self.fail(str(error), param, ctx)


SPAN = Span()


def given(ctx: click.Context, name: str) -> Any:
    """The value of a flag that may also stand in front of a subcommand's name, as `create -n shop configmap site`."""
    above: click.Context | None = ctx
    while above is not None:
        if name in above.params and above.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            return above.params[name]
        above = above.parent
    return ctx.params[name]


def dry_run_option(command: F) -> F:
    """`--dry-run[=none|client|server]`."""
    return click.option(
        "--dry-run",
        type=click.Choice(["none", "client", "server"]),
        default="none",
        is_flag=False,
        flag_value="server",
        help="Only say what would come of it: as seen from here (client), or with the server's rules (server).",
    )(command)


def result_option(command: F) -> F:
    """`-o/--output` of what came of it."""
    return click.option(
        "-o", "--output", "fmt", type=click.Choice(["yaml", "json", "name"]), help="Show what came of it so."
    )(command)


def manager_option(command: F) -> F:
    """`--field-manager`: one name for all commands, so that `apply` takes back what `scale` or `edit` changed."""
    return click.option(
        "--field-manager", "manager", default=MANAGER, show_default=True, metavar="NAME", help="Who writes."
    )(command)


def everything_option(command: F) -> F:
    """`--all`."""
    return click.option("--all", "everything", is_flag=True, help="All objects of the kind.")(command)
