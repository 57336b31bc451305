"""What a command is made of when it changes something: kubectl's ways of writing flags, and the flags of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from steersman.cli import session
from steersman.cli.failures import CommandError

# Who writes when nobody else is named.
MANAGER = "steer"
F = TypeVar("F", bound=Callable[..., Any])

_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


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


def plain(params: Sequence[click.Parameter], words: Sequence[str]) -> list[str]:
    """Words as click reads them, out of words as kubectl reads them. Pure.

    Raises:
        click.BadParameter: a flag that is on or off is said to be something else.
    """
    options = [param for param in params if isinstance(param, click.Option)]
    alone = {name: f"{name}={option.flag_value}" for option in options for name in _alone(option)}
    flags = {name: option for option in options if option.is_flag for name in option.opts if name.startswith("--")}
    short = {name for option in options if not option.is_flag for name in option.opts if not name.startswith("--")}
    found: list[str] = []
    for index, word in enumerate(words):
        if word == "--":
            return [*found, *words[index:]]
        name, equals, value = word.partition("=")
        if word in alone:
            found.append(alone[word])
        elif equals and name in short:
            found += [name, value]
        elif equals and name in flags:
            if value.lower() not in _TRUTH:
                raise click.BadParameter(f"{value!r} is neither true nor false", param_hint=name)
            if _TRUTH[value.lower()]:
                found.append(name)
            elif flags[name].secondary_opts:
                found.append(flags[name].secondary_opts[0])
        else:
            found.append(word)
    return found


def _alone(option: click.Option) -> list[str]:
    """The names under which an option may stand without its value."""
    valueless = not option.is_flag and isinstance(option.flag_value, str)
    return [name for name in option.opts if name.startswith("--")] if valueless else []


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
