"""`steer cp`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import NamedTuple

import click

from steersman.cli import session
from steersman.cli.command import Command
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.results import note
from steersman.client import Api

EPILOG = """\b
Examples:
  steer cp index.html web-6n-x2x:/www                 into a folder there
  steer cp web-6n-x2x:/var/log/app logs               a folder from there, under another name
  steer cp shop/web-6n-x2x:/etc/app.conf . -c app     from a pod in another namespace
  steer cp web-6n-x2x:/www - | tar tf -               as a tar archive on standard output
  tar cf - *.html | steer cp - web-6n-x2x:/www        and from standard input

\b
The container's image needs tar. Links are copied as links; from a container only those that point to something that
is copied too, and nothing is ever written outside of the target.
"""
STREAM = "-"
PIECE = 64 * 1024


class Remote(NamedTuple):
    """A path in a pod; an empty namespace is the present one."""

    namespace: str
    pod: str
    path: str


def remote(word: str) -> Remote | None:
    """What `[NAMESPACE/]POD:PATH` means; None for a path of this machine. Pure.

    Raises:
        CommandError: it is neither.
    """
    place, colon, path = word.partition(":")
    if not colon or place.startswith((".", "/")) or not place:
        return None
    namespace, slash, pod = place.rpartition("/")
    if "/" in namespace or (slash and not namespace) or not pod:
        raise CommandError(f"{word!r} is not [NAMESPACE/]POD:PATH; write ./{word} for a file of this name", USAGE)
    if not path:
        raise CommandError(f"{word!r} names no path in the pod", USAGE)
    return Remote(namespace, pod, path)


@click.command(cls=Command, epilog=EPILOG)
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("-c", "--container", default="", metavar="NAME", help="Which container, where there are several.")
@click.option("--no-preserve", is_flag=True, help="Do not keep permissions.")
@session.namespace_option
@click.pass_context
def command(
    ctx: click.Context, source: str, target: str, container: str, no_preserve: bool, namespace: str | None
) -> None:
    """Copy files and folders into and out of containers. One side is [NAMESPACE/]POD:PATH."""
    start, end = remote(source), remote(target)
    if start is not None and end is not None:
        raise CommandError("one side is a path of this machine: copy from one pod to another by way of it", USAGE)
    if start is None and end is None:
        raise CommandError("one side is [NAMESPACE/]POD:PATH", USAGE)

    async def work(api: Api) -> None:
        from steersman.streams import copying

        try:
            if end is not None:
                where = {"namespace": end.namespace, "container": container}
                if source == STREAM:
                    await copying.stream_to(api, end.pod, _input(), end.path, **where)
                    return
                done = await copying.copy_to(api, end.pod, source, end.path, preserve=not no_preserve, **where)
                for text in done.left_out:
                    note(f"warning: {text}")
            elif start is not None:
                where = {"namespace": start.namespace, "container": container}
                if target == STREAM:
                    async for piece in copying.stream_from(api, start.pod, start.path, **where):
                        sys.stdout.buffer.write(piece)
                    sys.stdout.buffer.flush()
                    return
                await copying.copy_from(
                    api, start.pod, start.path, target, preserve=not no_preserve, warn=_warn, **where
                )
        except copying.CopyError as error:
            raise CommandError(str(error)) from error

    session.run(ctx, namespace, work)


def _warn(text: str) -> None:
    note(f"warning: {text}")


async def _input() -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(sys.stdin.buffer.read, PIECE):
        yield piece
