"""`steer timeline`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from steersman.cli import chronicle, colour, output, session
from steersman.cli.chronicle import Entry
from steersman.cli.command import Command

if TYPE_CHECKING:
    from steersman import kinds
    from steersman.client import Api

EPILOG = """\b
Examples:
  steer timeline pod/web-6n-x2x
  steer timeline deploy/web --owned        and what happened to its replica sets and pods
  steer timeline pod/gone                  also of an object that is gone, for a while
"""
# A watch tells the past at once: when it says nothing for so long, at the beginning or later, that was all of it.
BEGIN_S, PAUSE_S = 2.0, 0.5
_COLOURS = {chronicle.CREATED: "green", chronicle.DELETED: "red", chronicle.WARNING: "yellow"}


@click.command(cls=Command, epilog=EPILOG)
@click.argument("what", nargs=-1, required=True, metavar="KIND/NAME")
@session.namespace_option
@click.option("--owned", is_flag=True, help="With everything that the object owns.")
@click.option("-o", "--output", "fmt", type=click.Choice(["json", "yaml"]), help="For programs.")
@click.pass_context
def command(ctx: click.Context, what: tuple[str, ...], namespace: str | None, owned: bool, fmt: str | None) -> None:
    """Show every change of an object and every event about it, in order, and who did it.

    Changes are known for as long as the apiserver remembers them; of the time before, only what the object itself says.
    """

    async def work(api: Api) -> None:
        item = session.one(what)
        entries = await _of_one(api, item.kind, item.name or "", "")
        if owned:
            for kind, obj in await _owned(api, item.kind, item.name or ""):
                entries += await _of_one(api, kind, obj.metadata.name, f"{kind.singular}/{obj.metadata.name}")
        _show(chronicle.merged(entries), fmt)

    session.run(ctx, namespace, work)


async def _of_one(api: Api, kind: kinds.Kind, name: str, about: str) -> list[Entry]:
    from steersman import errors

    client: Any = api.resource(kind)
    gone: errors.NotFound | None = None
    try:
        obj: Any = await client.get(name, namespace=api.namespace)
    except errors.NotFound as error:
        obj, gone = None, error
    versions = await _versions(client, name, api.namespace, obj)
    if obj is None and not versions:
        assert gone is not None
        raise gone
    last = obj if obj is not None else versions[-1][1]
    # Of an older object with the same name, that was before: nothing.
    versions = [version for version in versions if version[1].metadata.uid == last.metadata.uid]
    entries = chronicle.of_versions(versions, about)
    if not versions or versions[0][0] != "ADDED":
        since = min((entry.when for entry in entries), default=None)
        entries += [e for e in chronicle.of_object(last, about) if since is None or e.when <= since]
    selector = f"involvedObject.name={name},involvedObject.kind={kind.kind}"
    try:
        events = await api.events.list(namespace=last.metadata.namespace, field_selector=selector)
    except errors.Forbidden:
        click.echo("could not look at events: you may not list them", err=True)
        events = []
    uids = ("", last.metadata.uid, last.metadata.name)
    return entries + chronicle.of_events([e for e in events if e.involved_object.uid in uids], about)


async def _versions(client: Any, name: str, namespace: str, obj: Any) -> list[tuple[str, Any]]:
    """The versions of an object that the apiserver remembers, the oldest first; none when it may not be watched."""
    from steersman import errors

    since = "1"
    for _ in range(2):
        try:
            return await _versions_since(client, name, namespace, obj, since)
        except errors.Expired as error:
            since = error.facts.get("oldest", "")
            if not since:
                break
            if obj is not None and int(obj.metadata.resource_version) <= int(since):
                break
        except errors.Forbidden:
            break
    return []


async def _versions_since(client: Any, name: str, namespace: str, obj: Any, since: str) -> list[tuple[str, Any]]:
    from contextlib import aclosing

    from steersman.client import ADDED, BOOKMARK, DELETED

    names = {ADDED: "ADDED", DELETED: "DELETED"}
    versions: list[tuple[str, Any]] = []
    watch = client.watch(namespace=namespace if client.kind.namespaced else "", name=name, resource_version=since)
    async with aclosing(watch) as events:
        patience_s = BEGIN_S
        while True:
            try:
                event = await asyncio.wait_for(anext(events), patience_s)
            except TimeoutError:
                break
            if event.type == BOOKMARK:
                break
            versions.append((names.get(event.type, "MODIFIED"), event.object))
            if obj is not None and event.resource_version == obj.metadata.resource_version:
                break
            patience_s = PAUSE_S
    return versions


async def _owned(api: Api, kind: kinds.Kind, name: str) -> Sequence[tuple[Any, Any]]:
    """What an object owns, at any depth."""
    from steersman import errors, kinds
    from steersman.cli import family

    try:
        obj: Any = await api.resource(kind).get(name, namespace=api.namespace)
    except errors.NotFound:
        return []
    usual = ("Pod", "ReplicaSet", "Job", "EndpointSlice", "PersistentVolumeClaim", "ControllerRevision")
    objects: list[Any] = []
    for each in kinds.every():
        if each.kind in usual:
            objects += await api.resource(each).list(namespace=obj.metadata.namespace)
    found: list[tuple[Any, Any]] = []

    def walk(branch: family.Branch) -> None:
        for child in branch.owned:
            if not child.note:
                found.append((child.kind, child.obj))
                walk(child)

    walk(family.tree(obj, objects))
    return found


def _show(entries: Sequence[Entry], fmt: str | None) -> None:
    if fmt is not None:
        data = [
            {"time": e.when.isoformat().replace("+00:00", "Z"), "who": e.who, "what": e.what, "sort": e.sort}
            | ({"about": e.about} if e.about else {})
            for e in entries
        ]
        output.write(output.document(data, fmt))
        return
    several = any(entry.about for entry in entries)
    headings = ["TIME (UTC)", *(["ABOUT"] if several else []), "WHO", "WHAT"]
    rows = [
        [_time(entry.when), *([entry.about or "-"] if several else []), entry.who or "-", entry.what]
        for entry in entries
    ]
    lines = output.lines(headings, rows)
    if colour.enabled(sys.stdout):
        painted = [_COLOURS.get(entry.sort, "") for entry in entries]
        lines[1:] = [
            colour.painted(line, name) if name else line for line, name in zip(lines[1:], painted, strict=True)
        ]
    output.write("\n".join(lines))


def _time(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M:%S")
