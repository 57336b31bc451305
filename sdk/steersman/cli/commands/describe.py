"""`steer describe`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from steersman.cli import columns, output, session
from steersman.cli.command import Command
from steersman.cli.failures import USAGE, CommandError

if TYPE_CHECKING:
    from steersman import kinds
    from steersman.cli.describing import Around
    from steersman.client import Api

EPILOG = """\b
Examples:
  steer describe pod web-6n-x2x
  steer describe pods web-6n             all whose names begin so
  steer describe node n1
  steer describe pods -l app=web
  steer describe -f web.yaml --show-events=false
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("what", nargs=-1, metavar="KIND [NAME]... | KIND/NAME...")
@session.namespace_option
@session.all_namespaces_option
@session.selector_options
@session.file_options
@click.option("--show-events/--no-show-events", default=True, help="With the events about the objects.")
@click.option("--chunk-size", type=click.IntRange(0), default=500, metavar="N", help="Ask for so many at once; 0: all.")
@click.pass_context
def command(
    ctx: click.Context,
    what: tuple[str, ...],
    namespace: str | None,
    all_namespaces: bool,
    selector: str,
    field_selector: str,
    filenames: tuple[str, ...],
    recursive: bool,
    show_events: bool,
    chunk_size: int,
) -> None:
    """Show everything about objects: what they are, how they are, and what happened to them."""
    if bool(what) == bool(filenames):
        raise CommandError("describe what? missing argument: KIND, KIND/NAME, or -f FILE", USAGE)

    async def work(api: Api) -> None:
        from steersman.cli.describing import describe

        where = "" if all_namespaces else api.namespace
        described: list[str] = []
        for item, place in _wanted(what, filenames, recursive, where):
            client = api.resource(item.kind)
            objects: list[Any]
            if item.name is not None:
                objects = await _named(client, item, place)
            else:
                objects = await client.list(
                    namespace=where if item.kind.namespaced else "",
                    label_selector=selector,
                    field_selector=field_selector,
                    page=chunk_size,
                )
            for obj in columns.order(item.kind, objects):
                around = await _around(api, item.kind, obj, show_events)
                described.append(describe(obj, around, datetime.now(UTC)))
        if not described:
            click.echo("nothing found", err=True)
            return
        output.write("\n\n\n".join(described))

    session.run(ctx, namespace, work)


def _wanted(
    what: tuple[str, ...], filenames: tuple[str, ...], recursive: bool, where: str
) -> list[tuple[session.Named, str]]:
    if not filenames:
        return [(item, where) for item in session.named(what)]
    from steersman import kinds
    from steersman.manifests import files

    manifests = files.read(filenames, recursive=recursive)
    return [(session.Named(kinds.of(m.obj), m.obj.metadata.name), m.obj.metadata.namespace or where) for m in manifests]


async def _named(client: Any, item: session.Named, where: str) -> list[Any]:
    """The object of a name; where there is none, those whose names begin so."""
    from steersman import errors

    try:
        return [await client.get(item.name, namespace=where)]
    except errors.NotFound:
        try:
            every = await client.list(namespace=where if item.kind.namespaced else "")
        except errors.Forbidden:
            every = []
        found = [obj for obj in every if obj.metadata.name.startswith(item.name)]
        if not found:
            raise
        return found


async def _around(api: Api, kind: kinds.Kind, obj: Any, show_events: bool) -> Around:
    """What is told of an object beside itself; what may not be seen is left out."""
    from steersman import errors
    from steersman.cli.describing import Around
    from steersman.cli.why.answers import WORKLOADS

    where, name = obj.metadata.namespace, obj.metadata.name

    async def seen(reading: Any) -> list[Any]:
        try:
            return list(await reading)
        except errors.Forbidden:
            return []

    def of(owner: Any, others: list[Any]) -> list[Any]:
        return [o for o in others if any(r.uid == owner.metadata.uid for r in o.metadata.owner_references)]

    found: dict[str, Any] = {"show_events": show_events}
    if show_events:
        selector = f"involvedObject.name={name},involvedObject.kind={kind.kind}"
        events = await seen(api.events.list(namespace=where, field_selector=selector))
        uids = ("", obj.metadata.uid, name)
        found["events"] = [event for event in events if event.involved_object.uid in uids]
    if kind.kind == "Service":
        label = f"kubernetes.io/service-name={name}"
        found["endpoints"] = await seen(api.endpointslices.list(namespace=where, label_selector=label))
    elif kind.kind == "Node":
        found["pods"] = await seen(api.pods.list(field_selector=f"spec.nodeName={name}"))
    elif kind.kind == "Deployment":
        found["owned"] = of(obj, await seen(api.replicasets.list(namespace=where)))
    elif kind.kind in WORKLOADS:
        found["pods"] = of(obj, await seen(api.pods.list(namespace=where)))
    elif kind.kind == "PersistentVolumeClaim":
        found["pods"] = await seen(api.pods.list(namespace=where))
    elif kind.kind == "Namespace":
        found["quotas"] = await seen(api.resourcequotas.list(namespace=name))
        found["limits"] = await seen(api.limitranges.list(namespace=name))
    return Around(**found)
