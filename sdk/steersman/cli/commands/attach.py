"""`steer attach`."""

from __future__ import annotations

import sys

import click

from steersman.cli import session
from steersman.cli.commands.logs import pod_of
from steersman.cli.conversation import converse, raw_terminal
from steersman.client import Api
from steersman.core.v1.pod_pb2 import PodAttachRequest, PodAttachStart

EPILOG = """\b
Examples:
  steer attach web-6n-x2x
  steer attach -it deploy/shell
"""


@click.command(epilog=EPILOG)
@click.argument("what", metavar="POD | KIND/NAME")
@click.option("-c", "--container", default="", metavar="NAME", help="Which container, where there are several.")
@click.option("-i", "--stdin", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="The container has a terminal.")
@session.namespace_option
@click.pass_context
def command(ctx: click.Context, what: str, container: str, stdin: bool, tty: bool, namespace: str | None) -> None:
    """Connect to the program of a container: see what it writes, and with -i type what it reads."""
    tty = tty and sys.stdin.isatty()

    async def work(api: Api) -> None:
        start = PodAttachStart(namespace=api.namespace, name=await pod_of(api, what), container=container, stdin=stdin)
        with raw_terminal(enabled=tty):
            await converse(api.pods.attach, PodAttachRequest, start, stdin=stdin, tty=tty)

    session.run(ctx, namespace, work)
