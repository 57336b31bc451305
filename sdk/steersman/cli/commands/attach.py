"""`steer attach`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from steersman.cli import session
from steersman.cli.command import Command

if TYPE_CHECKING:
    from steersman.client import Api

EPILOG = """\b
Examples:
  steer attach web-6n-x2x
  steer attach -it deploy/shell -c main
"""


@click.command(cls=Command, epilog=EPILOG)
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
        from steersman.cli import choosing
        from steersman.cli.conversation import converse, raw_terminal
        from steersman.core.v1.pod_pb2 import PodAttachRequest, PodAttachStart

        pod = await choosing.pod_of(api, what)
        start = PodAttachStart(
            namespace=api.namespace,
            name=pod.metadata.name,
            container=choosing.container_of(pod, container),
            stdin=stdin,
        )
        if tty and stdin:
            choosing.note("If nothing is there to be seen, press enter.")
        with raw_terminal(enabled=tty):
            await converse(api.pods.attach, PodAttachRequest, start, stdin=stdin, tty=tty)

    session.run(ctx, namespace, work)
