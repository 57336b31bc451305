"""`steer`: the table of commands."""

from __future__ import annotations

import os

# Before anything imports gRPC: its own complaints on standard error are not for people who type commands.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import importlib
from collections.abc import Sequence
from typing import Any

import click

# Name, module, and what it is for; the module is imported when the command is called.
COMMANDS: dict[str, tuple[str, str]] = {
    "annotate": ("annotate", "Add, change and remove annotations of objects"),
    "api-resources": ("api_resources", "Show the kinds of objects that there are"),
    "apply": ("apply", "Make objects as manifests say"),
    "attach": ("attach", "Connect to the program of a container"),
    "cordon": ("cordon", "Close nodes for new pods"),
    "delete": ("delete", "Delete objects"),
    "describe": ("describe", "Show everything about objects, with their events"),
    "drain": ("drain", "Move the pods of nodes away"),
    "exec": ("exec", "Run a command in a container"),
    "get": ("get", "Show objects"),
    "label": ("label", "Add, change and remove labels of objects"),
    "logs": ("logs", "Show what a container wrote"),
    "port-forward": ("port_forward", "Connect a local port to a pod's"),
    "scale": ("scale", "Set the number of replicas"),
    "taint": ("taint", "Add, change and remove taints of nodes"),
    "uncordon": ("uncordon", "Open nodes for new pods again"),
    "version": ("version", "Show the version"),
}
# What rooms other than the SDK add, as entry points of this group.
GROUP = "steersman.commands"
OTHERS: dict[str, str] = {
    "down": "Take the cluster on this machine down",
    "store": "Back the store up, restore it, read a key's history",
    "status": "Show how the cluster on this machine is doing",
    "up": "Bring a cluster up on this machine",
}

EXAMPLES = """\b
Examples:
  steer up                          a cluster of three nodes on this machine
  steer apply -f web.yaml           make it so
  steer get pods -o wide            and look
  steer get deployments -w          and go on looking
  steer describe pod web-6n-x2x     why is it like that?
  steer logs web-6n-x2x -f          what does it say?
"""


class LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in order."""
        return sorted([*COMMANDS, *OTHERS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name in COMMANDS:
            module = importlib.import_module(f"steersman.cli.commands.{COMMANDS[cmd_name][0]}")
            command: click.Command = module.command
            return command
        from importlib.metadata import entry_points

        for found in entry_points(group=GROUP, name=cmd_name):
            loaded: click.Command = found.load()
            return loaded
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        rows = [(name, text) for name, (_, text) in COMMANDS.items()] + list(OTHERS.items())
        with formatter.section("Commands"):
            formatter.write_dl(sorted(rows))


@click.group(cls=LazyGroup, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", metavar="FILE", help="Client configuration (default: $STEERCONFIG or ~/.steer/config).")
@click.option("--context", metavar="NAME", help="Cluster of the configuration (default: its current one).")
@click.pass_context
def cli(ctx: click.Context, config: str | None, context: str | None) -> None:
    """Talk to a Steersman cluster."""
    ctx.obj = {"config": config, "context": context}


def main(arguments: Sequence[str] | None = None) -> Any:
    """Runs the command line; ends the process with its exit code."""
    from steersman.cli.failures import told

    with told():
        return cli.main(arguments, prog_name="steer", standalone_mode=True)


if __name__ == "__main__":
    main()
