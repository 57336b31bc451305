"""`steer rollout`: how a new version comes, goes back, waits and starts again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import click

from steersman.cli import output, patching, rollouts, session
from steersman.cli.command import SPAN, Command, Group, dry_run_option, manager_option, result_option
from steersman.cli.failures import FAILED, USAGE, CommandError
from steersman.cli.guarded import changed
from steersman.cli.progress import Progress
from steersman.cli.results import Results, Trouble
from steersman.cli.targets import Choice, Target, choice_options, chosen
from steersman.client import DELETED, Api

F = TypeVar("F", bound=Callable[..., Any])

EPILOG = """\b
Examples:
  steer rollout status deploy/web                    wait until the new version is there
  steer rollout history deploy/web                   which versions were there?
  steer rollout undo deploy/web                      back to the one before
  steer rollout restart deploy/web                   new pods of the same version
  steer rollout pause deploy/web                     change several things, and then
  steer rollout resume deploy/web                    roll them out together
"""
WITH_VERSIONS = ("Deployment", "DaemonSet", "StatefulSet")
PAUSE_S = 0.5


@click.group(cls=Group, epilog=EPILOG)
def command() -> None:
    """Follow, undo, pause and restart rollouts of Deployments, DaemonSets and StatefulSets."""


WORDS = click.argument("words", nargs=-1, metavar="KIND NAME... | KIND/NAME...")


def _choosing(body: F) -> F:
    """The words and flags that choose objects, and `-n`."""
    return WORDS(choice_options()(session.namespace_option(body)))


async def _targets(api: Api, options: dict[str, Any], verb: str, kinds: tuple[str, ...]) -> list[Target]:
    choice = Choice(
        options["words"],
        options["filenames"],
        options["recursive"],
        options["selector"],
        options["field_selector"],
        options["everything"],
    )
    targets = await chosen(api, choice, f"rollout {verb}", all_of_kind=verb == "status")
    for target in targets:
        if target.kind.kind not in kinds:
            raise CommandError(f"{target}: {target.kind.plural} cannot be {_PAST.get(verb, verb)}", USAGE)
    return targets


_PAST = {
    "status": "followed so",
    "history": "asked for their history",
    "undo": "taken back",
    "pause": "paused",
    "resume": "resumed",
    "restart": "restarted",
}


# --- status ---------------------------------------------------------------------------------------------------------


@command.command(
    "status",
    cls=Command,
    epilog="""\b
Examples:
  steer rollout status deploy/web
  steer rollout status deploy/web --timeout 2m && echo "all there"
  steer rollout status deploy/web --watch=false      only look
""",
)
@_choosing
@click.option("-w", "--watch/--no-watch", default=True, show_default=True, help="Wait until it has arrived.")
@click.option("--timeout", type=SPAN, default=0.0, metavar="SPAN", help="Give up after 90s, 5m; 0: never.")
@click.option("--revision", type=int, default=0, metavar="N", help="Only this version; a newer one is an error.")
@click.pass_context
def status(ctx: click.Context, /, watch: bool, timeout: float, revision: int, **options: Any) -> None:
    """Show how far a rollout is, until it has arrived."""

    async def work(api: Api) -> int:
        trouble = Trouble()
        try:
            async with asyncio.timeout(timeout or None):
                for target in await _targets(api, options, "status", WITH_VERSIONS):
                    with trouble.told():
                        await follow(api, target)
        except TimeoutError:
            raise CommandError(f"not rolled out within {timeout:g} s") from None
        return trouble.code

    async def follow(api: Api, target: Target) -> None:
        from steersman import errors

        line, said = Progress(), ""
        try:
            obj = await target.again(api)
            while True:
                _check_revision(obj, target, revision)
                now = rollouts.progress(obj, str(target))
                if now.text != said:
                    line.clear()
                    output.write(now.text)
                    said = now.text
                if now.done or not watch:
                    return
                line.show(f"{target}: waiting")
                try:
                    obj = await _next(api, target, obj.metadata.resource_version)
                except (errors.Unavailable, errors.Expired, errors.Exhausted):
                    await asyncio.sleep(PAUSE_S)
                    obj = await target.again(api)
        finally:
            line.clear()

    raise SystemExit(session.run(ctx, options["namespace"], work))


async def _next(api: Api, target: Target, version: str) -> Any:
    """The object after its next change.

    Raises:
        CommandError: it was deleted.
    """
    async for event in api.resource(target.kind).watch(
        namespace=target.namespace, name=target.name, resource_version=version
    ):
        if event.type == DELETED:
            raise CommandError(f"{target} was deleted")
        if event.object is not None:
            return event.object
    raise AssertionError("a watch ends only by an error")


def _check_revision(obj: Any, target: Target, revision: int) -> None:
    if not revision:
        return
    if target.kind.kind != "Deployment":
        raise CommandError("--revision is for Deployments", USAGE)
    present = int(obj.metadata.annotations.get(rollouts.REVISION, "0"))
    if present != revision:
        raise CommandError(f"{target} is at version {present}, not {revision}")


# --- history and undo -----------------------------------------------------------------------------------------------


@command.command(
    "history",
    cls=Command,
    epilog="""\b
Examples:
  steer rollout history deploy/web
  steer rollout history deploy/web --revision 3      what was that one?
  steer annotate deploy/web kubernetes.io/change-cause="new logo" --overwrite
""",
)
@_choosing
@click.option("--revision", type=click.IntRange(0), default=0, metavar="N", help="Show the pods of this version.")
@result_option
@click.pass_context
def history(ctx: click.Context, /, revision: int, fmt: str | None, **options: Any) -> None:
    """Show the versions of objects that there were."""

    async def work(api: Api) -> int:
        trouble, results = Trouble(), Results(fmt)
        for target in await _targets(api, options, "history", WITH_VERSIONS):
            with trouble.told():
                found = await _versions(api, target, await target.read(api))
                if revision:
                    _show_version(rollouts.chosen(found, revision, str(target)), target, results, fmt)
                else:
                    _show_versions(found, target, results, fmt)
        results.close()
        return trouble.code

    raise SystemExit(session.run(ctx, options["namespace"], work))


def _show_version(version: rollouts.Version, target: Target, results: Results, fmt: str | None) -> None:
    from steersman.manifests import files

    if fmt is not None:
        results.show(version.source, "")
        return
    text = files.yaml_of([version.template]).rstrip("\n")
    cause = f"\nchange cause: {version.cause}" if version.cause else ""
    output.write(f"{target} version {version.number}{cause}\n{text}")


def _show_versions(found: list[rollouts.Version], target: Target, results: Results, fmt: str | None) -> None:
    if fmt is not None:
        for version in found:
            results.show(version.source, "")
        return
    rows = [[str(version.number), version.cause or "<none>"] for version in found]
    output.write(f"{target}\n{output.table(['REVISION', 'CHANGE-CAUSE'], rows)}")


async def _versions(api: Api, target: Target, obj: Any) -> list[rollouts.Version]:
    from steersman import selectors

    client: Any = api.replicasets if target.kind.kind == "Deployment" else api.controllerrevisions
    query = str(selectors.of_message(obj.spec.selector))
    return rollouts.versions(obj, await client.list(namespace=target.namespace, label_selector=query))


@command.command(
    "undo",
    cls=Command,
    epilog="""\b
Examples:
  steer rollout undo deploy/web
  steer rollout undo deploy/web --to-revision 3
""",
)
@_choosing
@click.option("--to-revision", type=click.IntRange(0), default=0, metavar="N", help="To this version; 0: the last.")
@manager_option
@dry_run_option
@result_option
@click.pass_context
def undo(ctx: click.Context, /, to_revision: int, manager: str, dry_run: str, fmt: str | None, **options: Any) -> None:
    """Go back to a version that there was: its pods, and the rest of the object as it is now."""

    async def work(api: Api) -> int:
        trouble, results = Trouble(), Results(fmt, dry_run)
        for target in await _targets(api, options, "undo", WITH_VERSIONS):
            with trouble.told():
                await back(api, target, results)
        results.close()
        return trouble.code

    async def back(api: Api, target: Target, results: Results) -> None:
        from steersman.manifests import codec

        current = await target.again(api)
        version = rollouts.chosen(await _versions(api, target, current), to_revision, str(target))

        def decide(obj: Any) -> dict[str, Any]:
            if target.kind.kind == "Deployment" and obj.spec.paused:
                raise CommandError(f"{target} is paused: steer rollout resume {target} first")
            present = codec.encode(obj)
            template = patching.between(present["spec"]["template"], version.template)
            if not template:
                return {}
            patch: dict[str, Any] = {"spec": {"template": template}}
            if target.kind.kind == "Deployment":
                notes = patching.between(_notes(present), _notes(codec.encode(version.source)))
                patch |= {"metadata": {"annotations": notes}} if notes else {}
            return patch

        obj, was_changed = await changed(api, target, decide, manager=manager, dry_run=dry_run)
        results.show(
            obj, "rolled back" if was_changed else f"is as it was at version {version.number}, not rolled back"
        )

    raise SystemExit(session.run(ctx, options["namespace"], work))


def _notes(data: dict[str, Any]) -> dict[str, str]:
    """The annotations of an object that are a version's."""
    annotations = data["metadata"].get("annotations", {})
    return {key: value for key, value in annotations.items() if key not in rollouts.OWN_ANNOTATIONS}


# --- pause, resume, restart -----------------------------------------------------------------------------------------


def _change(
    name: str,
    kinds: tuple[str, ...],
    done: str,
    decide: Callable[[Target, Any], dict[str, Any]],
    help: str,
    examples: str,
) -> None:
    """Adds a subcommand that changes each object as `decide` says, which raises when that cannot be."""

    @command.command(name, cls=Command, help=help, epilog=f"\b\nExamples:\n{examples}")
    @_choosing
    @manager_option
    @dry_run_option
    @result_option
    @click.pass_context
    def body(ctx: click.Context, /, manager: str, dry_run: str, fmt: str | None, **options: Any) -> None:
        async def work(api: Api) -> int:
            trouble, results = Trouble(), Results(fmt, dry_run)
            for target in await _targets(api, options, name, kinds):
                with trouble.told():
                    decided = partial(decide, target)
                    obj, _ = await changed(api, target, decided, manager=manager, dry_run=dry_run)
                    results.show(obj, done)
            results.close()
            return trouble.code

        raise SystemExit(session.run(ctx, options["namespace"], work))


def _pause(target: Target, obj: Any) -> dict[str, Any]:
    if obj.spec.paused:
        raise CommandError(f"{target} is paused already", FAILED)
    return {"spec": {"paused": True}}


def _resume(target: Target, obj: Any) -> dict[str, Any]:
    if not obj.spec.paused:
        raise CommandError(f"{target} is not paused", FAILED)
    return {"spec": {"paused": None}}


def _restart(target: Target, obj: Any) -> dict[str, Any]:
    if target.kind.kind == "Deployment" and obj.spec.paused:
        raise CommandError(f"{target} is paused: steer rollout resume {target} first")
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"spec": {"template": {"metadata": {"annotations": {rollouts.RESTARTED: now}}}}}


_change(
    "pause",
    ("Deployment",),
    "paused",
    _pause,
    "Keep what is changed from rolling out, until resumed.",
    "  steer rollout pause deploy/web\n",
)
_change(
    "resume",
    ("Deployment",),
    "resumed",
    _resume,
    "Roll out what was changed while paused.",
    "  steer rollout resume deploy/web\n",
)
_change(
    "restart",
    WITH_VERSIONS,
    "restarted",
    _restart,
    "Replace all pods by new ones of the same version, as its strategy has it.",
    "  steer rollout restart deploy/web\n  steer rollout restart deploy -l app=shop\n",
)
