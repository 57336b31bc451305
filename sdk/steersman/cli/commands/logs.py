"""`steer logs`."""

from __future__ import annotations

import re
import sys

import click

from steersman.cli import session
from steersman.cli.failures import USAGE, CommandError
from steersman.client import Api

EPILOG = """\b
Examples:
  steer logs web-6n-x2x
  steer logs web-6n-x2x -c sidecar --tail 20 -f
  steer logs deploy/web --since 5m
  steer logs web-6n-x2x --previous            of the run before a crash
"""
_SPAN = re.compile(r"(\d+)(s|m|h|d)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> int:
    """A span of time such as "90", "5m", "2h" in seconds.

    Raises:
        CommandError: it is none.
    """
    match = _SPAN.fullmatch(text)
    if match is None:
        raise CommandError(f"{text!r} is not a span of time such as 90s, 5m or 2h", USAGE)
    return int(match[1]) * _SECONDS[match[2] or "s"]


@click.command(epilog=EPILOG)
@click.argument("what", metavar="POD | KIND/NAME")
@click.option("-c", "--container", default="", metavar="NAME", help="Which container, where there are several.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option("-p", "--previous", is_flag=True, help="Of the container's previous run.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Only the last lines.")
@click.option("--since", metavar="SPAN", help="Only of the last 90s, 5m, 2h.")
@click.option("--limit-bytes", type=click.IntRange(1), metavar="N", help="At most so many bytes.")
@click.option("--timestamps", is_flag=True, help="With the time of each line.")
@session.namespace_option
@click.pass_context
def command(
    ctx: click.Context,
    what: str,
    container: str,
    follow: bool,
    previous: bool,
    tail: int | None,
    since: str | None,
    limit_bytes: int | None,
    timestamps: bool,
    namespace: str | None,
) -> None:
    """Show what a container wrote."""

    async def work(api: Api) -> None:
        from steersman.core.v1.pod_pb2 import PodLogsRequest

        request = PodLogsRequest(
            namespace=api.namespace,
            name=await pod_of(api, what),
            container=container,
            follow=follow,
            previous=previous,
            timestamps=timestamps,
            tail_lines=tail,
            limit_bytes=limit_bytes,
            since_seconds=seconds(since) if since else None,
        )
        async for piece in api.pods.logs(request):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()

    session.run(ctx, namespace, work)


async def pod_of(api: Api, what: str) -> str:
    """The name of a pod: itself, or the first pod that an object selects.

    Raises:
        CommandError: the object selects no pod.
    """
    from steersman import selectors
    from steersman.cli.columns import order

    if "/" not in what:
        return what
    target = session.one([what])
    if target.kind.kind == "Pod":
        return target.name or ""
    obj: object = await api.resource(target.kind).get(target.name or "", namespace=api.namespace)
    selector = getattr(getattr(obj, "spec", None), "selector", None)
    if selector is None:
        raise CommandError(f"{what} selects no pods")
    found = selectors.of_message(selector) if hasattr(selector, "match_labels") else selectors.of_map(selector)
    pods = [pod for pod in await api.pods.list(namespace=api.namespace) if found.matches(pod.metadata.labels)]
    ready = [pod for pod in pods if any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions)]
    for pod in order(target.kind, ready or pods):
        return str(pod.metadata.name)
    raise CommandError(f"{what} has no pods")
