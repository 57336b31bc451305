"""`steer tree`."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from steersman import kinds
from steersman.cli import colour, family, output, session
from steersman.cli.command import Command

if TYPE_CHECKING:
    from steersman.client import Api

EPILOG = """\b
Examples:
  steer tree deploy/web         its replica sets and pods, and how they are doing
  steer tree pod/web-6n-x2x     from its topmost owner on
  steer tree service/web        its endpoint slices, and the pods that it selects
  steer tree deploy/web --all   also what owns and is owned by kinds that few things do
"""
# What is looked through unless everything is wanted: what owns things, and what is owned.
_USUAL = frozenset(
    {
        "Pod",
        "Deployment",
        "ReplicaSet",
        "StatefulSet",
        "DaemonSet",
        "ReplicationController",
        "Job",
        "CronJob",
        "ControllerRevision",
        "EndpointSlice",
        "Service",
        "PersistentVolumeClaim",
    }
)
_COLOURS = {family.GOOD: "green", family.PROGRESSING: "yellow", family.BAD: "red"}


@click.command(cls=Command, epilog=EPILOG)
@click.argument("what", nargs=-1, required=True, metavar="KIND/NAME")
@session.namespace_option
@click.option("--all", "every", is_flag=True, help="Look through the objects of all kinds.")
@click.option("--down", is_flag=True, help="Only what the object owns, not what owns it.")
@click.pass_context
def command(ctx: click.Context, what: tuple[str, ...], namespace: str | None, every: bool, down: bool) -> None:
    """Show what owns an object and what it owns, and how each is doing."""

    async def work(api: Api) -> None:
        item = session.one(what)
        obj: Any = await api.resource(item.kind).get(item.name or "", namespace=api.namespace)
        where = str(obj.metadata.namespace)
        looked = [
            kind
            for kind in kinds.every()
            if kind.kind != "Event" and (every or kind.kind in _USUAL or kind == item.kind)
        ]
        unseen: list[str] = []
        found = await asyncio.gather(*(_list(api, kind, where, unseen) for kind in looked))
        objects = [each for group in found for each in group]
        by_uid = {each.metadata.uid: each for each in objects}
        above = [] if down else family.owners_of(obj, by_uid)
        branch = family.tree(above[0] if above else obj, objects)
        if await _has_more(obj, by_uid, above):
            unseen.append("some of its owners")
        _show(branch, obj)
        for each in unseen:
            click.echo(f"could not look at {each}", err=True)

    session.run(ctx, namespace, work)


async def _has_more(obj: Any, by_uid: dict[str, Any], above: list[Any]) -> bool:
    top = above[0] if above else obj
    return any(reference.uid not in by_uid for reference in top.metadata.owner_references)


async def _list(api: Api, kind: kinds.Kind, namespace: str, unseen: list[str]) -> list[Any]:
    from steersman import errors

    try:
        return await api.resource(kind).list(namespace=namespace if kind.namespaced else "")
    except errors.Forbidden:
        unseen.append(f"{kind.plural}: you may not list them")
        return []


def _show(branch: family.Branch, asked: Any) -> None:
    rows = family.rows(branch, datetime.now(UTC))
    widths = [max(output.width_of(name) for name, _, _ in rows), max(len(health.text) for _, health, _ in rows)]
    in_colour = colour.enabled(sys.stdout)
    asked_name = f"{kinds.of(asked).kind}/{asked.metadata.name}"
    for name, health, age in rows:
        text = health.text.ljust(widths[1])
        shown = name
        if in_colour:
            text = colour.painted(text, _COLOURS[health.level]) if health.level in _COLOURS else text
            shown = name.replace(asked_name, colour.painted(asked_name, "bold")) if name.endswith(asked_name) else name
        padding = " " * (widths[0] - output.width_of(name))
        output.write(f"{shown}{padding}   {text}   {age}".rstrip())
