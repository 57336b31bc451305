"""`steer apply`."""

from __future__ import annotations

import click

from steersman.cli import output, session
from steersman.cli.failures import USAGE, CommandError
from steersman.client import Api

MANAGER = "steer"
EPILOG = """\b
Examples:
  steer apply -f web.yaml
  steer apply -f manifests/ -R --dry-run
  cat web.yaml | steer apply -f -
"""


@click.command(epilog=EPILOG)
@session.file_options
@session.namespace_option
@click.option("--force-conflicts", is_flag=True, help="Take over fields that others applied.")
@click.option("--field-manager", default=MANAGER, show_default=True, metavar="NAME", help="Who applies.")
@click.option("--dry-run", is_flag=True, help="Let the server do everything but store.")
@click.option("-o", "--output", "fmt", type=click.Choice(["yaml", "json", "name"]), help="Show what came of it.")
@click.pass_context
def command(
    ctx: click.Context,
    filenames: tuple[str, ...],
    recursive: bool,
    namespace: str | None,
    force_conflicts: bool,
    field_manager: str,
    dry_run: bool,
    fmt: str | None,
) -> None:
    """Make objects as manifests say: create them, or change what is different.

    All manifests are read before the first one is applied; when any is wrong, nothing is.
    """

    async def work(api: Api) -> None:
        from steersman.manifests import files

        if not filenames:
            raise CommandError("which manifests? -f FILE", USAGE)
        manifests = files.read(filenames, recursive=recursive)
        for manifest in manifests:
            declared = manifest.obj.metadata.namespace
            if namespace and declared and declared != namespace:
                raise CommandError(f"{manifest.place}: the manifest says namespace {declared!r}, -n says {namespace!r}")
        for manifest in manifests:
            client = api.resource(type(manifest.obj))
            applied = await client.apply(
                manifest.obj, field_manager=field_manager, force=force_conflicts, dry_run=dry_run
            )
            if fmt in ("yaml", "json"):
                output.write(output.documents([applied], fmt, as_list=False))
            elif fmt == "name":
                output.write(output.full_name(applied))
            else:
                output.write(f"{output.full_name(applied)} applied" + (" (dry run)" if dry_run else ""))

    session.run(ctx, namespace, work)
