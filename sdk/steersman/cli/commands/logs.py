"""`steer logs`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from steersman.cli import colour, session
from steersman.cli.command import SPAN, Command
from steersman.cli.failures import FAILED, USAGE, CommandError, explain, say

if TYPE_CHECKING:
    from steersman.client import Api

EPILOG = """\b
Examples:
  steer logs web-6n-x2x
  steer logs web-6n-x2x -c sidecar --tail 20 -f
  steer logs deploy/web --since 5m
  steer logs deploy/web --all-pods --prefix      of all its pods
  steer logs -l app=web --all-containers -f      of all that match, together
  steer logs web-6n-x2x --previous               of the run before a crash
"""
# With a selector, where many may write a lot, kubectl shows so many lines of each.
SELECTED_TAIL = 10
_COLOURS = ("cyan", "green", "yellow", "blue")


@click.command(cls=Command, epilog=EPILOG)
@click.argument("what", required=False, metavar="[POD | KIND/NAME]")
@click.argument("container_word", required=False, metavar="[CONTAINER]")
@click.option("-c", "--container", default="", metavar="NAME", help="Which container, where there are several.")
@click.option("--all-containers", is_flag=True, help="All containers of the pods.")
@click.option("--all-pods", is_flag=True, help="All pods of the object, and not only one.")
@click.option("-l", "--selector", default="", metavar="QUERY", help="All pods that match.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option("-p", "--previous", is_flag=True, help="Of the container's previous run.")
@click.option("--tail", type=click.IntRange(-1), metavar="N", help="Only the last lines; -1: all. [10 with -l]")
@click.option("--since", type=SPAN, metavar="SPAN", help="Only of the last 90s, 5m, 2h.")
@click.option("--since-time", metavar="TIME", help="Only since a moment: 2026-05-01T12:00:00Z.")
@click.option("--limit-bytes", type=click.IntRange(1), metavar="N", help="At most so many bytes.")
@click.option("--timestamps", is_flag=True, help="With the time of each line.")
@click.option("--prefix", is_flag=True, help="Name pod and container in front of each line.")
@click.option("--max-log-requests", type=click.IntRange(1), default=50, metavar="N", help="Follow so many at most.")
@click.option("--ignore-errors", is_flag=True, help="Go on when one of several logs cannot be read.")
@session.namespace_option
@click.pass_context
def command(
    ctx: click.Context,
    what: str | None,
    container_word: str | None,
    container: str,
    all_containers: bool,
    all_pods: bool,
    selector: str,
    follow: bool,
    previous: bool,
    tail: int | None,
    since: float | None,
    since_time: str | None,
    limit_bytes: int | None,
    timestamps: bool,
    prefix: bool,
    max_log_requests: int,
    ignore_errors: bool,
    namespace: str | None,
) -> None:
    """Show what containers wrote."""
    container = container or container_word or ""
    if bool(what) == bool(selector):
        raise CommandError("logs of what? a pod, KIND/NAME, or -l QUERY", USAGE)
    if container and all_containers:
        raise CommandError("give -c or --all-containers, not both", USAGE)
    if since is not None and since_time:
        raise CommandError("give --since or --since-time, not both", USAGE)
    moment = _moment(since_time) if since_time else None
    if tail is None and selector:
        tail = SELECTED_TAIL

    async def work(api: Api) -> int:
        from steersman.cli import choosing
        from steersman.core.v1.pod_pb2 import PodLogsRequest

        if selector:
            pods: list[Any] = await api.pods.list(namespace=api.namespace, label_selector=selector)
            if not pods:
                click.echo(f"no pods in namespace {api.namespace} match", err=True)
                return 0
        elif all_pods:
            pods = await choosing.pods_of(api, what or "")
        else:
            pods = [await choosing.pod_of(api, what or "")]
        sources = []
        for pod in pods:
            names = choosing.containers(pod) if all_containers else [choosing.container_of(pod, container)]
            sources += [(pod.metadata.name, name) for name in names]
        if follow and len(sources) > max_log_requests:
            raise CommandError(f"{len(sources)} logs are too many to follow at once; --max-log-requests allows more")
        requests = [
            PodLogsRequest(
                namespace=api.namespace,
                name=pod,
                container=name,
                follow=follow,
                previous=previous,
                timestamps=timestamps,
                tail_lines=None if tail in (None, -1) else tail,
                limit_bytes=limit_bytes,
                since_seconds=max(1, round(since)) if since is not None else None,
            )
            for pod, name in sources
        ]
        for request in requests:
            if moment is not None:
                request.since_time.FromDatetime(moment)
        if len(requests) == 1 and not prefix:
            await _plain(api, requests[0])
            return 0
        return await _several(api, requests, follow=follow, prefix=prefix, ignore_errors=ignore_errors)

    code = session.run(ctx, namespace, work)
    if code:
        raise SystemExit(code)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandError(f"--since-time {text}: expected a moment as in 2026-05-01T12:00:00Z", USAGE)
    return moment


async def _plain(api: Api, request: Any) -> None:
    """One log as it is; a terminal is kept from obeying what is no text."""
    if not sys.stdout.isatty():
        async for piece in api.pods.logs(request):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        return
    from steersman.cli.harmless import Harmless

    harmless = Harmless()
    async for piece in api.pods.logs(request):
        _write(harmless.text(piece))
    _write(harmless.text(b"", final=True))


def _write(text: str) -> None:
    from steersman.cli import output

    if text:
        output.write(text, end="")


async def _several(api: Api, requests: list[Any], *, follow: bool, prefix: bool, ignore_errors: bool) -> int:
    """Several logs line by line: one after the other, or together where they are followed."""
    from steersman import errors

    in_colour = colour.enabled(sys.stdout)
    code = 0

    async def show(number: int, request: Any) -> None:
        nonlocal code
        name = f"[pod/{request.name}/{request.container}] " if prefix else ""
        front = (colour.painted(name, _COLOURS[number % len(_COLOURS)]) if in_colour else name) if name else ""
        try:
            async for line in _lines(api, request):
                if sys.stdout.isatty():
                    from steersman.cli.harmless import Harmless

                    _write(front + Harmless().text(line, final=True))
                else:
                    sys.stdout.buffer.write(front.encode() + line)
                    sys.stdout.buffer.flush()
        except errors.ApiError as error:
            if isinstance(error, (errors.Unauthenticated, errors.Forbidden)) or (
                isinstance(error, errors.Unavailable) and not error.reason
            ):
                raise
            say(f"pod/{request.name}, container {request.container}: {explain(error)[0]}")
            if not ignore_errors:
                code = FAILED

    if follow:
        await asyncio.gather(*(show(number, request) for number, request in enumerate(requests)))
    else:
        for number, request in enumerate(requests):
            await show(number, request)
    return code


async def _lines(api: Api, request: Any) -> AsyncIterator[bytes]:
    """Whole lines of a log; the last one gets an end where it has none."""
    rest = b""
    async for piece in api.pods.logs(request):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest + b"\n"
