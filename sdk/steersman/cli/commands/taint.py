"""`steer taint`."""

from __future__ import annotations

from typing import Any

import click

from steersman.cli import edits, session
from steersman.cli.command import Command, dry_run_option, everything_option, manager_option, result_option
from steersman.cli.edits import Taint
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.guarded import changed
from steersman.cli.results import Results, Trouble
from steersman.cli.targets import Choice, Target, chosen
from steersman.client import Api

EPILOG = """\b
Examples:
  steer taint node n1 gpu=true:NoSchedule          only pods that tolerate it come here
  steer taint nodes -l rack=r2 broken:NoExecute    and here all others go
  steer taint node n1 gpu:NoSchedule-              remove one
  steer taint node n1 gpu-                         remove it with every effect
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("words", nargs=-1, required=True, metavar="node NAME... KEY[=VALUE]:EFFECT... KEY[:EFFECT]-...")
@click.option("-l", "--selector", default="", metavar="QUERY", help="All nodes that match.")
@everything_option
@click.option("--overwrite/--no-overwrite", default=False, help="Change taints that are there.")
@manager_option
@dry_run_option
@result_option
@click.pass_context
def command(
    ctx: click.Context,
    words: tuple[str, ...],
    selector: str,
    everything: bool,
    overwrite: bool,
    manager: str,
    dry_run: str,
    fmt: str | None,
) -> None:
    """Add, change and remove taints of nodes.

    Effects: NoSchedule keeps new pods away that do not tolerate the taint, PreferNoSchedule does so where there is
    another place, NoExecute also makes those go that are there.
    """
    things, changes = edits.split(words)

    async def work(api: Api) -> int:
        edit = edits.taint_edit(changes)
        if not changes:
            raise CommandError("taint with what? KEY=VALUE:EFFECT, or KEY- to remove", USAGE)
        targets = await chosen(api, Choice(things, selector=selector, everything=everything), "taint")
        if any(target.kind.kind != "Node" for target in targets):
            raise CommandError(f"only nodes have taints, and {targets[0]} is none", USAGE)
        results, trouble = Results(fmt, dry_run), Trouble()
        for target in targets:
            with trouble.told():
                await one(api, target, edit, results)
        results.close()
        return trouble.code

    async def one(api: Api, target: Target, edit: edits.TaintEdit, results: Results) -> None:
        def decide(node: Any) -> dict[str, Any]:
            present = [Taint(each.key, each.value, each.effect) for each in node.spec.taints]
            taken, missing, wanted = edit.taken(present), edit.missing(present), edit.applied(present)
            if missing:
                raise CommandError(f"{target}: there is no taint {missing[0]!r} to remove")
            if taken and not overwrite and wanted != present:
                raise CommandError(f"{target}: the taint {taken[0]!r} is there already; --overwrite changes it")
            if wanted == present:
                return {}
            before = {(each.key, each.effect): each for each in node.spec.taints}
            return {"spec": {"taints": [_plain(taint, before) for taint in wanted]}}

        obj, was_changed = await changed(api, target, decide, manager=manager, dry_run=dry_run)
        done = "tainted" if edit.put else "untainted"
        results.show(obj, done if was_changed else f"not {done}")

    raise SystemExit(session.run(ctx, None, work))


def _plain(taint: Taint, before: dict[tuple[str, str], Any]) -> dict[str, Any]:
    """A taint as data; one that stays as it was keeps the time at which it was added."""
    from steersman.manifests import codec

    known = before.get((taint.key, taint.effect))
    if known is not None and known.value == taint.value:
        return codec.encode(known)
    return {"key": taint.key, "value": taint.value, "effect": taint.effect}
