"""`steer apply`."""

from __future__ import annotations

from typing import Any

import click

from steersman.cli import output, pruning, session
from steersman.cli.command import SPAN, Command, dry_run_option, everything_option, manager_option, result_option
from steersman.cli.deleting import POLICIES, cascade_option
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.gone import all_gone
from steersman.cli.results import Results, Trouble
from steersman.cli.targets import Target, of_files
from steersman.client import Api

EPILOG = """\b
Examples:
  steer apply -f web.yaml
  steer apply -f manifests/ -R --dry-run
  cat web.yaml | steer apply -f -
  steer apply -f manifests/ --prune -l app=shop      and delete what is in no manifest any more
"""


@click.command(cls=Command, epilog=EPILOG)
@session.file_options
@session.namespace_option
@click.option("-l", "--selector", default="", metavar="QUERY", help="Only objects of the manifests that match.")
@click.option("--server-side/--no-server-side", default=True, hidden=True, help="It always is.")
@click.option("--force-conflicts", is_flag=True, help="Take over fields that others applied.")
@click.option("--prune", is_flag=True, help="Delete what was applied before, and is in no manifest; with -l or --all.")
@everything_option
@click.option(
    "--prune-allowlist",
    "--prune-whitelist",
    "allowlist",
    multiple=True,
    metavar="GROUP/VERSION/KIND",
    help="Prune only these kinds, as core/v1/ConfigMap.",
)
@cascade_option
@click.option("--wait/--no-wait", default=False, help="Return when what is pruned is gone.")
@click.option("--timeout", type=SPAN, default=0.0, metavar="SPAN", help="How long to wait; 0: as long as it takes.")
@manager_option
@dry_run_option
@result_option
@click.pass_context
def command(
    ctx: click.Context,
    filenames: tuple[str, ...],
    recursive: bool,
    namespace: str | None,
    selector: str,
    server_side: bool,
    force_conflicts: bool,
    prune: bool,
    everything: bool,
    allowlist: tuple[str, ...],
    cascade: str,
    wait: bool,
    timeout: float,
    manager: str,
    dry_run: str,
    fmt: str | None,
) -> None:
    """Make objects as manifests say: create them, or change what is different.

    All manifests are read before the first one is applied; when any cannot be read, nothing is applied. What the
    server refuses does not keep the others.
    """
    if not filenames:
        raise CommandError("apply what? -f FILE", USAGE)
    if prune and bool(selector) == everything:
        raise CommandError("--prune goes with -l QUERY or with --all, so that it is clear what may be deleted", USAGE)
    if allowlist and not prune:
        raise CommandError("--prune-allowlist goes with --prune", USAGE)

    async def work(api: Api) -> int:
        from steersman import selectors

        kinds_to_prune = pruning.allowed(allowlist)
        query = selectors.parse(selector)
        results, trouble = Results(fmt, dry_run), Trouble()
        targets = of_files(api, filenames, recursive=recursive)
        matching = [target for target in targets if query.matches(target.manifest.metadata.labels)]
        applied: list[Any] = []
        for target in matching:
            with trouble.told():
                obj, verb = await apply(api, target)
                applied.append(obj)
                results.show(obj, verb)
        if prune and trouble.code:
            # What failed may be in the cluster, and would look as if no manifest named it.
            raise CommandError("nothing is pruned, as not everything could be applied")
        if prune:
            spaces = {target.namespace for target in targets if target.namespace}
            await take_away(api, applied, kinds_to_prune, spaces, results)
        results.close()
        return trouble.code

    async def apply(api: Api, target: Target) -> tuple[Any, str]:
        """The object as it is then, and what was done to it."""
        from steersman import errors

        live: Any = None
        try:
            live = await target.again(api)
        except errors.NotFound:
            if dry_run == "client":
                return target.manifest, "created"
        if dry_run == "client":
            wanted, present = output.tidy(target.manifest), output.tidy(live)
            return live, "unchanged" if pruning.says_nothing_new(wanted, present) else "configured"
        applied = await api.resource(target.kind).apply(
            target.manifest, field_manager=manager, force=force_conflicts, dry_run=dry_run == "server"
        )
        if live is None:
            return applied, "created"
        same = applied.metadata.resource_version == live.metadata.resource_version
        if dry_run == "server":
            same = output.tidy(applied) == output.tidy(live)
        return applied, "unchanged" if same else "configured"

    async def take_away(
        api: Api, applied: list[Any], candidates: list[Any], spaces: set[str], results: Results
    ) -> None:
        from steersman import errors

        kept = {obj.metadata.uid for obj in applied}
        going = []
        for kind in candidates:
            client = api.resource(kind)
            found = []
            for space in sorted(spaces) if kind.namespaced else [""]:
                found += await client.list(namespace=space, label_selector=selector)
            for obj in pruning.surplus(found, kept, manager):
                if dry_run == "none":
                    try:
                        obj = await client.delete(
                            obj.metadata.name,
                            namespace=obj.metadata.namespace,
                            uid=obj.metadata.uid,
                            propagation_policy=POLICIES[cascade],
                        )
                    except (errors.NotFound, errors.Conflict):
                        continue
                results.show(obj, "pruned")
                going.append(obj)
        if wait and dry_run == "none":
            left = await all_gone(api, going, name=output.full_name, timeout_s=timeout or None)
            if left:
                raise CommandError(f"not gone within {timeout:g} s: {', '.join(map(output.full_name, left))}")

    raise SystemExit(session.run(ctx, namespace, work))
