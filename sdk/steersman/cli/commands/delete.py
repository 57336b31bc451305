"""`steer delete`."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from steersman.cli import output, session
from steersman.cli.failures import NOT_FOUND, USAGE, CommandError, say
from steersman.client import DELETED, Api

EPILOG = """\b
Examples:
  steer delete pod web-6n-x2x
  steer delete -f web.yaml
  steer delete pods -l app=web
  steer delete deploy/web --cascade orphan      leave its pods running
"""
_POLICIES = {"background": "Background", "foreground": "Foreground", "orphan": "Orphan"}


@click.command(epilog=EPILOG)
@click.argument("what", nargs=-1, metavar="[KIND NAME... | KIND/NAME... | KIND -l QUERY | KIND --all]")
@session.file_options
@session.namespace_option
@click.option("-l", "--selector", default="", metavar="QUERY", help="All objects that match.")
@click.option("--all", "everything", is_flag=True, help="All objects of the kind in the namespace.")
@click.option(
    "--cascade", type=click.Choice(list(_POLICIES)), default="background", show_default=True, help="Owned objects."
)
@click.option("--grace-period", type=click.IntRange(0), metavar="S", help="Seconds to stop in; 0: at once.")
@click.option("--ignore-not-found", is_flag=True, help="What is not there is fine.")
@click.option("--wait/--no-wait", default=True, help="Return when the objects are gone.", show_default=True)
@click.option("--dry-run", is_flag=True, help="Say what would happen.")
@click.pass_context
def command(
    ctx: click.Context,
    what: tuple[str, ...],
    filenames: tuple[str, ...],
    recursive: bool,
    namespace: str | None,
    selector: str,
    everything: bool,
    cascade: str,
    grace_period: int | None,
    ignore_not_found: bool,
    wait: bool,
    dry_run: bool,
) -> None:
    """Delete objects."""

    async def work(api: Api) -> bool:
        from steersman import errors

        targets = await _targets(api, what, filenames, recursive, selector, everything)
        complete = True
        going: list[tuple[Any, Any]] = []
        for kind, name, where in targets:
            client = api.resource(kind)
            try:
                deleted = await client.delete(
                    name,
                    namespace=where,
                    grace_period_s=grace_period,
                    propagation_policy=_POLICIES[cascade],
                    dry_run=dry_run,
                )
            except errors.NotFound as error:
                if not ignore_not_found:
                    complete = False
                    say(error.message)
                continue
            output.write(f"{output.full_name(deleted)} deleted" + (" (dry run)" if dry_run else ""))
            going.append((client, deleted))
        if wait and not dry_run:
            await asyncio.gather(*(_gone(client, deleted) for client, deleted in going))
        return complete

    if not session.run(ctx, namespace, work):
        raise SystemExit(NOT_FOUND)


async def _targets(
    api: Api, what: tuple[str, ...], filenames: tuple[str, ...], recursive: bool, selector: str, everything: bool
) -> list[tuple[Any, str, str]]:
    """(kind, name, namespace) of everything to be deleted."""
    from steersman import kinds
    from steersman.manifests import files

    if bool(what) == bool(filenames):
        raise CommandError("delete what? KIND NAME, or -f FILE", USAGE)
    if filenames:
        manifests = files.read(filenames, recursive=recursive)
        objects = [m.obj for m in reversed(manifests)]
        return [(kinds.of(o), o.metadata.name, o.metadata.namespace or api.namespace) for o in objects]
    named = session.named(what)
    if all(item.name is not None for item in named):
        return [(item.kind, item.name or "", api.namespace) for item in named]
    if not selector and not everything:
        raise CommandError("delete which? a name, -l QUERY, or --all", USAGE)
    targets = []
    for item in named:
        namespace = api.namespace if item.kind.namespaced else ""
        for obj in await api.resource(item.kind).list(namespace=namespace, label_selector=selector):
            targets.append((item.kind, obj.metadata.name, obj.metadata.namespace))
    return targets


async def _gone(client: Any, deleted: Any) -> None:
    """Returns when an object is gone, or another one has its name."""
    metadata = deleted.metadata
    async for event in client.watch(namespace=metadata.namespace, name=metadata.name):
        if event.object is not None and event.object.metadata.uid != metadata.uid:
            return
        if event.type == DELETED:
            return
        if event.object is None and event.initial_state_end:
            from steersman import errors

            try:
                current = await client.get(metadata.name, namespace=metadata.namespace)
            except errors.NotFound:
                return
            if current.metadata.uid != metadata.uid:
                return
