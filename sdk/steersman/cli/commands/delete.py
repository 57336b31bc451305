"""`steer delete`."""

from __future__ import annotations

from typing import Any

import click

from steersman.cli import output, session
from steersman.cli.command import SPAN, Command, dry_run_option
from steersman.cli.deleting import POLICIES, cascade_option
from steersman.cli.failures import NOT_FOUND, USAGE, CommandError
from steersman.cli.gone import all_gone
from steersman.cli.results import Results, Trouble, note
from steersman.cli.targets import Choice, Target, choice_options, chosen
from steersman.client import Api

EPILOG = """\b
Examples:
  steer delete pod web-6n-x2x
  steer delete -f web.yaml
  steer delete pods -l app=web
  steer delete pods --field-selector status.phase=Failed -A
  steer delete deploy/web --cascade orphan      leave its pods running
  steer delete pod stuck --force                forget it at once, whatever it does
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("what", nargs=-1, metavar="[KIND NAME... | KIND/NAME... | KIND -l QUERY | KIND --all]")
@choice_options(all_namespaces=True)
@session.namespace_option
@cascade_option
@click.option("--grace-period", type=int, default=-1, metavar="S", help="Seconds to stop in; 0: at once; -1: its own.")
@click.option("--now", is_flag=True, help="Stop in one second.")
@click.option("--force", is_flag=True, help="Forget it at once, without waiting for its programs to stop.")
@click.option("--ignore-not-found/--no-ignore-not-found", default=None, help="What is not there is fine.")
@click.option("--wait/--no-wait", default=True, help="Return when the objects are gone.", show_default=True)
@click.option("--timeout", type=SPAN, default=0.0, metavar="SPAN", help="How long to wait; 0: as long as it takes.")
@click.option("-i", "--interactive", is_flag=True, help="Show what would go, and ask.")
@dry_run_option
@click.option("-o", "--output", "fmt", type=click.Choice(["name"]), help="Only the names.")
@click.pass_context
def command(
    ctx: click.Context,
    what: tuple[str, ...],
    filenames: tuple[str, ...],
    recursive: bool,
    namespace: str | None,
    selector: str,
    field_selector: str,
    everything: bool,
    all_namespaces: bool,
    cascade: str,
    grace_period: int,
    now: bool,
    force: bool,
    ignore_not_found: bool | None,
    wait: bool,
    timeout: float,
    interactive: bool,
    dry_run: str,
    fmt: str | None,
) -> None:
    """Delete objects."""
    if now and grace_period >= 0:
        raise CommandError("--now and --grace-period do not go together", USAGE)
    if force and grace_period > 0:
        raise CommandError("--force leaves no time to stop in; --grace-period 0 goes with it", USAGE)
    grace_s = 0 if force else 1 if now else None if grace_period < 0 else grace_period
    choice = Choice(what, filenames, recursive, selector, field_selector, everything, all_namespaces)
    # Objects that were just found, and are gone when their turn comes, are what was asked for.
    lenient = ignore_not_found if ignore_not_found is not None else everything or bool(selector or field_selector)

    async def work(api: Api) -> int:
        targets = await chosen(api, choice, "delete")
        if filenames:
            # What was made last may need what was made first.
            targets.reverse()
        if not targets:
            note("nothing found")
            return 0
        if interactive and not _confirmed(targets):
            note("nothing is deleted")
            return 0
        if force and dry_run == "none":
            note("warning: deleted without waiting; what runs may go on running for a while")
        results, trouble = Results(fmt, dry_run), Trouble()
        going = []
        for target in targets:
            with trouble.told():
                deleted = await delete(api, target)
                if deleted is not None:
                    results.show(deleted, "deleted")
                    going.append(deleted)
        if wait and dry_run == "none":
            left = await all_gone(api, going, name=output.full_name, timeout_s=timeout or None)
            if left:
                names = ", ".join(map(output.full_name, left))
                raise CommandError(f"not gone within {timeout:g} s: {names}")
        return trouble.code

    async def delete(api: Api, target: Target) -> Any:
        from steersman import errors

        try:
            if dry_run == "client":
                return await target.read(api)
            return await api.resource(target.kind).delete(
                target.name,
                namespace=target.namespace,
                grace_period_s=grace_s,
                propagation_policy=POLICIES[cascade],
                dry_run=dry_run == "server",
            )
        except errors.NotFound as error:
            if lenient:
                return None
            raise CommandError(error.message, NOT_FOUND) from error

    raise SystemExit(session.run(ctx, namespace, work))


def _confirmed(targets: list[Target]) -> bool:
    for target in targets:
        click.echo(f"  {target}" + (f" in {target.namespace}" if target.namespace else ""))
    return click.confirm(f"Delete {'this' if len(targets) == 1 else f'these {len(targets)}'}?", default=False)
