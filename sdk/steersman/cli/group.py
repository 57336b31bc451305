"""The group of all commands: each is imported when it is called, and takes the flags that every command takes."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from steersman.cli.main import COMMANDS, GROUP, OTHERS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

EXAMPLES = """\b
Examples:
  steer up                          a cluster of three nodes on this machine
  steer apply -f web.yaml           make it so
  steer get pods -o wide            and look
  steer get deployments -w          and go on looking
  steer why pod/web-6n-x2x          why is it like that?
  steer tree deploy/web             what belongs together?
  steer logs web-6n-x2x -f          what does it say?
  steer explain pod.spec.volumes    what can I write there?
"""


FURTHER = "Flags of every command: steer --help"


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Keeps a flag that stood behind the command where those in front of it are kept."""
    if value not in (None, ()):
        root = ctx.find_root()
        root.obj = {**(root.obj or {}), str(param.name): value}
    return value


_OPTIONS: list[tuple[list[str], dict[str, Any]]] = [
    (["--config"], {"metavar": "FILE", "help": "Client configuration (default: $STEERCONFIG or ~/.steer/config)."}),
    (["--context"], {"metavar": "NAME", "help": "Cluster of the configuration (default: its current one)."}),
    (["--as", "as_user"], {"metavar": "USER", "help": "Act as somebody else, who may be allowed less."}),
    (["--as-group", "as_groups"], {"metavar": "GROUP", "multiple": True, "help": "In these groups, with --as."}),
    (["--as-uid"], {"metavar": "UID", "help": "With this uid, with --as."}),
    (["--request-timeout"], {"metavar": "SPAN", "help": "How long one request may take: 5s, 1m; 0: for ever."}),
    (["-v", "--verbosity"], {"metavar": "LEVEL", "type": int, "help": "6: show requests; 7: and what they ask."}),
]


def global_options() -> list[click.Option]:
    """The flags that every command takes, in front of its name or behind it."""
    return [click.Option(names, **settings) for names, settings in _OPTIONS]


class LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in order."""
        return sorted([*COMMANDS, *OTHERS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        command = self._imported(cmd_name)
        if command is not None:
            for each in _with_subcommands(command):
                _give_global_options(each, ctx.params.get("namespace"))
                if ctx.resilient_parsing:
                    from steersman.cli.completing import install

                    install(each, cmd_name if each is command else each.name or "")
        return command

    def _imported(self, name: str) -> click.Command | None:
        if name in COMMANDS:
            module = importlib.import_module(f"steersman.cli.commands.{COMMANDS[name][0]}")
            command: click.Command = module.command
            return command
        if name not in OTHERS:
            # Looking at everything that is installed is slow, and most such words are typing errors.
            from steersman.cli.nearest import nearest

            if nearest(name, self.list_commands(click.get_current_context())) is not None:
                return None
        from importlib.metadata import entry_points

        for found in entry_points(group=GROUP, name=name):
            loaded: click.Command = found.load()
            return loaded
        return None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the words, with short flags as kubectl takes them: `-n=shop`."""
        from steersman.cli.flags import plain

        return super().parse_args(ctx, plain(self.params, args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the words begin with; who mistypes it is told what was probably meant."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            from steersman.cli.nearest import meant

            words = meant(name, self.list_commands(ctx)) or "; steer --help shows all"
            raise click.UsageError(f"there is no command {name!r}{words}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands, without importing them; or the flags."""
        from steersman.cli import completing

        if incomplete.startswith("-"):
            completing.install(self, "steer")
            return super().shell_complete(ctx, incomplete)
        rows = [(name, text) for name, (_, text) in COMMANDS.items()] + list(OTHERS.items())
        return completing.commands(rows, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        rows = [(name, text) for name, (_, text) in COMMANDS.items()] + list(OTHERS.items())
        with formatter.section("Commands"):
            formatter.write_dl(sorted(rows))


def _with_subcommands(command: click.Command) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from _with_subcommands(inner)


def _give_global_options(command: click.Command, namespace: str | None) -> None:
    """Lets the flags of every command stand behind its name too, and `-n` in front of it."""
    taken = {name for param in command.params for name in param.opts}
    for option in global_options():
        if taken.isdisjoint(option.opts):
            option.hidden, option.expose_value, option.callback = True, False, _keep
            command.params.append(option)
    if not (command.epilog or "").endswith(FURTHER):
        command.epilog = f"{command.epilog or ''}\n\n{FURTHER}"
    for param in command.params:
        if param.name == "namespace" and isinstance(param, click.Option):
            param.default = namespace


@click.group(cls=LazyGroup, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-n", "--namespace", metavar="NAME", help="Namespace (default: the context's).")
@click.pass_context
def cli(ctx: click.Context, /, namespace: str | None, **options: Any) -> None:
    """Talk to a Steersman cluster. The flags below may also stand behind the command's name."""
    ctx.obj = {**options, **(ctx.obj or {})}


cli.params.extend(global_options())
