"""What commands share: options, the connection, and naming objects on the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from steersman import kinds
from steersman.cli.failures import USAGE, CommandError, told
from steersman.client import Api, connect, print_warning

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def namespace_option(command: F) -> F:
    """`-n/--namespace`."""
    return click.option("-n", "--namespace", metavar="NAME", help="Namespace (default: the context's).")(command)


def all_namespaces_option(command: F) -> F:
    """`-A/--all-namespaces`."""
    return click.option("-A", "--all-namespaces", is_flag=True, help="In all namespaces.")(command)


def selector_options(command: F) -> F:
    """`-l/--selector` and `--field-selector`."""
    command = click.option("--field-selector", default="", metavar="QUERY", help="As in spec.nodeName=n1.")(command)
    return click.option("-l", "--selector", default="", metavar="QUERY", help="As in app=web,tier!=cache.")(command)


def file_options(command: F) -> F:
    """`-f/--filename` and `-R/--recursive`."""
    command = click.option("-R", "--recursive", is_flag=True, help="Folders with all folders below them.")(command)
    return click.option(
        "-f",
        "--filename",
        "filenames",
        multiple=True,
        metavar="FILE",
        help="Manifest: a file, a folder, a pattern, or - for standard input; may be given several times.",
    )(command)


def run(ctx: click.Context, namespace: str | None, work: Callable[[Api], Awaitable[T]]) -> T:
    """Connects as the options say, does the work, and turns expected errors into a clear line."""
    options = ctx.find_root().obj or {}

    async def main() -> T:
        path = Path(options["config"]) if options.get("config") else None
        api = connect(path, context=options.get("context"), namespace=namespace, on_warning=print_warning)
        # A person wants to know at once that the apiserver is away.
        api.patient = False
        async with api:
            return await work(api)

    with told():
        return asyncio.run(main())


class Named(NamedTuple):
    """A kind, and the name of one of its objects; None for all of them."""

    kind: kinds.Kind
    name: str | None


def named(words: Sequence[str]) -> list[Named]:
    """What `pods`, `pods,services`, `pod web`, `pod/web deploy/web` mean.

    Raises:
        CommandError: the words make no sense together.
        UnknownKindError: there is no such kind.
    """
    if not words:
        raise CommandError("which kind? for example: pods, deploy/web", USAGE)
    if any("/" in word for word in words):
        found: list[Named] = []
        for word in words:
            kind, slash, name = word.partition("/")
            if not slash or not name:
                raise CommandError(f"{word!r} is not KIND/NAME, as the others are", USAGE)
            found.append(Named(kinds.by_name(kind), name))
        return found
    chosen = _kinds_of(words[0])
    if len(words) == 1:
        return [Named(kind, None) for kind in chosen]
    return [Named(kind, name) for kind in chosen for name in words[1:]]


def _kinds_of(word: str) -> list[kinds.Kind]:
    if word == "all":
        return [kind for kind in kinds.every() if "all" in kind.categories]
    return [kinds.by_name(part) for part in word.split(",")]


def one(words: Sequence[str]) -> Named:
    """The one object that words name.

    Raises:
        CommandError: they name none, or several.
    """
    found = named(words)
    if len(found) != 1 or found[0].name is None:
        raise CommandError("name one object: KIND/NAME or KIND NAME", USAGE)
    return found[0]
