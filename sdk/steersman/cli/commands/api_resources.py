"""`steer api-resources`."""

from __future__ import annotations

import click

from steersman import kinds
from steersman.cli import output

EPILOG = """\b
Examples:
  steer api-resources
  steer api-resources --namespaced=false
  steer api-resources -o name
"""


@click.command(epilog=EPILOG)
@click.option(
    "--namespaced",
    type=bool,
    default=None,
    metavar="BOOL",
    help="Only kinds whose objects do or do not live in namespaces.",
)
@click.option("--api-group", default=None, metavar="GROUP", help='Only kinds of this group; "" is the core group.')
@click.option("-o", "--output", "fmt", type=click.Choice(["name"]), help="Names only.")
@click.option("--no-headers", is_flag=True, help="Leave the headings out.")
def command(namespaced: bool | None, api_group: str | None, fmt: str | None, no_headers: bool) -> None:
    """Show the kinds of objects that there are."""
    chosen = [
        kind for kind in kinds.every() if namespaced in (None, kind.namespaced) and api_group in (None, kind.group)
    ]
    if fmt == "name":
        output.write("\n".join(kind.qualified_plural for kind in chosen))
        return
    rows = [
        (kind.plural, ",".join(kind.short_names), kind.api_version, str(kind.namespaced).lower(), kind.kind)
        for kind in chosen
    ]
    output.write(output.table(("NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"), rows, head=not no_headers))
