"""`steer replace`."""

from __future__ import annotations

from typing import Any

import click

from steersman.cli import session
from steersman.cli.command import SPAN, Command, dry_run_option, manager_option, result_option
from steersman.cli.deleting import POLICIES, cascade_option
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.gone import all_gone
from steersman.cli.results import Results, Trouble
from steersman.cli.targets import Target, of_files
from steersman.client import Api

EPILOG = """\b
Examples:
  steer replace -f web.yaml                 the manifest says everything: what it does not say is unset
  steer get deploy web -o yaml | sed s/:1/:2/ | steer replace -f -
  steer replace --force -f pod.yaml         delete it and make it anew
"""


@click.command(cls=Command, epilog=EPILOG)
@session.file_options
@session.namespace_option
@click.option("--force", is_flag=True, help="Delete the object and create it anew.")
@cascade_option
@click.option("--grace-period", type=int, default=-1, metavar="S", help="Seconds to stop in, with --force.")
@click.option("--timeout", type=SPAN, default=0.0, metavar="SPAN", help="How long to wait for the old one to go.")
@manager_option
@dry_run_option
@result_option
@click.pass_context
def command(
    ctx: click.Context,
    filenames: tuple[str, ...],
    recursive: bool,
    namespace: str | None,
    force: bool,
    cascade: str,
    grace_period: int,
    timeout: float,
    manager: str,
    dry_run: str,
    fmt: str | None,
) -> None:
    """Replace objects by what manifests say, which is everything but the status.

    A manifest with a resourceVersion replaces only that version: nobody's change is lost unseen.
    """
    if not filenames:
        raise CommandError("replace by what? -f FILE", USAGE)
    if grace_period >= 0 and not force:
        raise CommandError("--grace-period goes with --force", USAGE)

    async def work(api: Api) -> int:
        results, trouble = Results(fmt, dry_run), Trouble()
        for target in of_files(api, filenames, recursive=recursive):
            with trouble.told():
                results.show(await replaced(api, target), "replaced")
        results.close()
        return trouble.code

    async def replaced(api: Api, target: Target) -> Any:
        client = api.resource(target.kind)
        if dry_run == "client":
            await target.again(api)
            return target.manifest
        if not force:
            return await client.update(target.manifest, field_manager=manager, dry_run=dry_run == "server")
        if dry_run == "server":
            raise CommandError(
                "--dry-run=server and --force do not go together: nothing is deleted in a dry run", USAGE
            )
        await remove(api, target)
        fresh = type(target.manifest)()
        fresh.CopyFrom(target.manifest)
        fresh.metadata.ClearField("resource_version")
        return await client.create(fresh, field_manager=manager)

    async def remove(api: Api, target: Target) -> None:
        from steersman import errors

        try:
            old = await api.resource(target.kind).delete(
                target.name,
                namespace=target.namespace,
                grace_period_s=None if grace_period < 0 else grace_period,
                propagation_policy=POLICIES[cascade],
            )
        except errors.NotFound:
            return
        if await all_gone(api, [old], name=lambda _: str(target), timeout_s=timeout or None):
            raise CommandError(f"{target} is not gone within {timeout:g} s; it is not made anew")

    raise SystemExit(session.run(ctx, namespace, work))
