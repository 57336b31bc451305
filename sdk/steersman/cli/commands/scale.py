"""`steer scale`."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from steersman.cli import session
from steersman.cli.command import SPAN, Command, dry_run_option, manager_option, result_option
from steersman.cli.failures import CommandError
from steersman.cli.guarded import ATTEMPTS
from steersman.cli.progress import Progress
from steersman.cli.results import Results, Trouble
from steersman.cli.targets import Choice, Target, choice_options, chosen
from steersman.client import Api

EPILOG = """\b
Examples:
  steer scale deploy/web --replicas 5
  steer scale deployment web shop --replicas 0
  steer scale deploy -l app=web --replicas 3
  steer scale deploy/web --current-replicas 2 --replicas 3      only if there are two
  steer scale deploy/web --replicas 5 --timeout 1m              and wait for them
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("words", nargs=-1, metavar="KIND NAME... | KIND/NAME...")
@choice_options()
@session.namespace_option
@click.option("--replicas", type=click.IntRange(0), required=True, metavar="N", help="Wanted number.")
@click.option("--current-replicas", type=int, default=-1, metavar="N", help="Only if this many are asked for now.")
@click.option("--resource-version", default="", metavar="VERSION", help="Only if the object is at this version.")
@click.option("--timeout", type=SPAN, default=0.0, metavar="SPAN", help="Wait so long until they are there; 0: do not.")
@manager_option
@dry_run_option
@result_option
@click.pass_context
def command(
    ctx: click.Context,
    words: tuple[str, ...],
    filenames: tuple[str, ...],
    recursive: bool,
    namespace: str | None,
    selector: str,
    field_selector: str,
    everything: bool,
    replicas: int,
    current_replicas: int,
    resource_version: str,
    timeout: float,
    manager: str,
    dry_run: str,
    fmt: str | None,
) -> None:
    """Set how many replicas objects ask for."""
    choice = Choice(words, filenames, recursive, selector, field_selector, everything)

    async def work(api: Api) -> int:
        results, trouble = Results(fmt, dry_run), Trouble()
        for target in await chosen(api, choice, "scale"):
            with trouble.told():
                results.show(await scaled(api, target), "scaled")
                if timeout and dry_run == "none":
                    await _reached(api, target, replicas, timeout)
        results.close()
        return trouble.code

    async def scaled(api: Api, target: Target) -> Any:
        from steersman import errors

        client = api.resource(target.kind)
        for attempt in range(ATTEMPTS):
            try:
                scale = await client.get_scale(target.name, namespace=target.namespace)
            except errors.Unsupported:
                raise CommandError(f"{target.kind.plural} have no replicas") from None
            if current_replicas >= 0 and scale.spec.replicas != current_replicas:
                raise CommandError(f"{target}: {scale.spec.replicas} replicas are asked for, not {current_replicas}")
            scale.spec.replicas = replicas
            if resource_version:
                scale.metadata.resource_version = resource_version
            elif current_replicas < 0:
                scale.metadata.ClearField("resource_version")
            if dry_run != "client":
                try:
                    await client.update_scale(scale, field_manager=manager, dry_run=dry_run == "server")
                except errors.Conflict:
                    if resource_version or attempt == ATTEMPTS - 1:
                        raise
                    continue
            obj = await target.again(api)
            if dry_run != "none":
                obj.spec.replicas = replicas
            return obj
        raise AssertionError("unreachable")

    raise SystemExit(session.run(ctx, namespace, work))


async def _reached(api: Api, target: Target, replicas: int, timeout_s: float) -> None:
    """Waits until there are as many as wanted.

    Raises:
        CommandError: there are not, after `timeout_s` seconds.
    """
    progress = Progress()
    there = "?"
    try:
        async with asyncio.timeout(timeout_s):
            watch = api.resource(target.kind).watch(namespace=target.namespace, name=target.name)
            async for event in watch:
                if event.object is None:
                    continue
                status = event.object.status
                there = str(status.replicas)
                progress.show(f"{target}: {there} of {replicas}")
                seen = getattr(status, "observed_generation", 0) >= event.object.metadata.generation
                if seen and status.replicas == replicas:
                    return
    except TimeoutError:
        raise CommandError(f"{target}: {there} of {replicas} replicas after {timeout_s:g} s") from None
    finally:
        progress.clear()
