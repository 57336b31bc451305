"""`steer exec`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from steersman.cli import session
from steersman.cli.command import Command
from steersman.cli.failures import USAGE, CommandError

if TYPE_CHECKING:
    from steersman.client import Api

EPILOG = """\b
Examples:
  steer exec web-6n-x2x -- ls -l /www
  steer exec -it deploy/web -- sh
  steer exec web-6n-x2x -c sidecar -- date
  echo hello | steer exec -i web-6n-x2x -- cat
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("what", metavar="POD | KIND/NAME")
@click.argument("words", nargs=-1, metavar="-- COMMAND [ARGUMENT]...")
@click.option("-c", "--container", default="", metavar="NAME", help="Which container, where there are several.")
@click.option("-i", "--stdin", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="With a terminal.")
@session.namespace_option
@click.pass_context
def command(
    ctx: click.Context,
    what: str,
    words: tuple[str, ...],
    container: str,
    stdin: bool,
    tty: bool,
    namespace: str | None,
) -> None:
    """Run a command in a container; ends with the command's exit code."""
    if not words:
        raise CommandError(f"which command? steer exec {what} -- COMMAND", USAGE)
    if tty and not (sys.stdin.isatty() and stdin):
        why = "without -i" if not stdin else "standard input is none"
        click.echo(f"warning: no terminal there ({why})", err=True)
        tty = False

    async def work(api: Api) -> int:
        from steersman.cli import choosing
        from steersman.cli.conversation import converse, raw_terminal
        from steersman.core.v1.pod_pb2 import PodExecRequest, PodExecStart

        pod = await choosing.pod_of(api, what)
        start = PodExecStart(
            namespace=api.namespace,
            name=pod.metadata.name,
            container=choosing.container_of(pod, container),
            command=words,
            stdin=stdin,
            tty=tty,
        )
        with raw_terminal(enabled=tty):
            return await converse(api.pods.exec, PodExecRequest, start, stdin=stdin, tty=tty)

    raise SystemExit(session.run(ctx, namespace, work))
