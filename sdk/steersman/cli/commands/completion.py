"""`steer completion`."""

from __future__ import annotations

import click

from steersman.cli import output
from steersman.cli.command import Command

EPILOG = """\b
Examples:
  source <(steer completion bash)                                  in this shell
  steer completion bash > /etc/bash_completion.d/steer             in every shell from now on
  steer completion zsh > "${fpath[1]}/_steer"
  steer completion fish > ~/.config/fish/completions/steer.fish
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Write what a shell needs to complete commands, kinds, names, namespaces, containers and contexts."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(click.get_current_context().find_root().command, {}, "steer", "_STEER_COMPLETE")
    output.write((script.source_template % script.source_vars()).strip())
