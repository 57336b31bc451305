"""`steer describe`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from steersman.cli import cells, columns, output, session
from steersman.client import Api
from steersman.manifests import codec, files

EPILOG = """\b
Examples:
  steer describe pod web-6n-x2x
  steer describe node n1
  steer describe pods -l app=web
"""


@click.command(epilog=EPILOG)
@click.argument("what", nargs=-1, required=True, metavar="KIND [NAME]... | KIND/NAME...")
@session.namespace_option
@session.all_namespaces_option
@session.selector_options
@click.pass_context
def command(
    ctx: click.Context,
    what: tuple[str, ...],
    namespace: str | None,
    all_namespaces: bool,
    selector: str,
    field_selector: str,
) -> None:
    """Show everything about objects: what they are, how they are, and what happened to them."""

    async def work(api: Api) -> None:
        where = "" if all_namespaces else api.namespace
        described: list[str] = []
        for item in session.named(what):
            client = api.resource(item.kind)
            if item.name is not None:
                objects: list[Any] = [await client.get(item.name, namespace=where)]
            else:
                objects = await client.list(
                    namespace=where if item.kind.namespaced else "",
                    label_selector=selector,
                    field_selector=field_selector,
                )
            for obj in columns.order(item.kind, objects):
                events = await _events(api, obj)
                described.append(describe(obj, events, datetime.now(UTC)))
        if not described:
            click.echo("nothing found", err=True)
        output.write("\n\n\n".join(described))

    session.run(ctx, namespace, work)


async def _events(api: Api, obj: Any) -> list[Any]:
    from steersman import kinds

    selector = f"involvedObject.name={obj.metadata.name},involvedObject.kind={kinds.of(obj).kind}"
    if obj.metadata.uid:
        selector += f",involvedObject.uid={obj.metadata.uid}"
    return await api.events.list(namespace=obj.metadata.namespace, field_selector=selector)


def describe(obj: Any, events: list[Any], now: datetime) -> str:
    """The whole description of an object."""
    from steersman import kinds

    kind = kinds.of(obj)
    metadata = obj.metadata
    head = [
        ("Name", metadata.name),
        *([("Namespace", metadata.namespace)] if kind.namespaced else []),
        ("Kind", str(kind)),
        (
            "Created",
            f"{codec.show_time(metadata.creation_timestamp)} ({cells.age(metadata.creation_timestamp, now)} ago)",
        ),
        ("Labels", cells.pairs(metadata.labels)),
        ("Annotations", cells.pairs(metadata.annotations)),
    ]
    owners = ", ".join(f"{owner.kind}/{owner.name}" for owner in metadata.owner_references)
    if owners:
        head.append(("Controlled by", owners))
    if metadata.HasField("deletion_timestamp"):
        head.append(("Being deleted", f"since {cells.age(metadata.deletion_timestamp, now)}"))
    if kind.kind == "Pod":
        head += [
            ("Status", columns.pod_status(obj)),
            ("Node", obj.spec.node_name or "<none>"),
            ("IP", obj.status.pod_ip or "<none>"),
        ]
    width = max(len(name) for name, _ in head) + 1
    parts = ["\n".join(f"{name + ':':<{width}}  {value}" for name, value in head)]
    data = codec.encode(obj)
    for part in ("metadata", "status"):
        data.pop(part, None)
    if kind.kind == "Secret":
        data["data"] = {name: f"{len(value)} bytes" for name, value in obj.data.items()}
    parts += [_section(name, value) for name, value in data.items()]
    status = codec.encode(obj).get("status", {})
    conditions = status.pop("conditions", [])
    status.pop("images", None)
    if status:
        parts.append(_section("status", status))
    if conditions:
        rows = [[c["type"], c["status"], c.get("reason", ""), c.get("message", "")] for c in conditions]
        parts.append("Conditions:\n" + _indented(output.table(["TYPE", "STATUS", "REASON", "MESSAGE"], rows)))
    parts.append(_events_section(events, now))
    return "\n".join(parts)


def _section(name: str, value: Any) -> str:
    title = name[0].upper() + name[1:]
    if isinstance(value, (dict, list)):
        return f"{title}:\n" + _indented(files.yaml_of([value]).rstrip("\n"))
    return f"{title}: {value}"


def _events_section(events: list[Any], now: datetime) -> str:
    if not events:
        return "Events: <none>"
    rows = []
    for event in sorted(events, key=lambda e: (e.last_timestamp.seconds, e.metadata.name)):
        last = cells.age(event.last_timestamp, now)
        when = f"{last} (x{event.count} over {cells.age(event.first_timestamp, now)})" if event.count > 1 else last
        rows.append([event.type, event.reason, when, event.source.component, event.message])
    return "Events:\n" + _indented(output.table(["TYPE", "REASON", "AGE", "FROM", "MESSAGE"], rows))


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
