"""`steer exec`."""

from __future__ import annotations

import sys

import click

from steersman.cli import session
from steersman.cli.commands.logs import pod_of
from steersman.cli.conversation import converse, raw_terminal
from steersman.client import Api
from steersman.core.v1.pod_pb2 import PodExecRequest, PodExecStart

EPILOG = """\b
Examples:
  steer exec web-6n-x2x -- ls -l /www
  steer exec -it deploy/web -- sh
  echo hello | steer exec -i web-6n-x2x -- cat
"""


@click.command(epilog=EPILOG)
@click.argument("what", metavar="POD | KIND/NAME")
@click.argument("words", nargs=-1, required=True, metavar="-- COMMAND [ARGUMENT]...")
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
    tty = tty and sys.stdin.isatty()

    async def work(api: Api) -> int:
        start = PodExecStart(
            namespace=api.namespace,
            name=await pod_of(api, what),
            container=container,
            command=words,
            stdin=stdin,
            tty=tty,
        )
        with raw_terminal(enabled=tty):
            return await converse(api.pods.exec, PodExecRequest, start, stdin=stdin, tty=tty)

    raise SystemExit(session.run(ctx, namespace, work))
