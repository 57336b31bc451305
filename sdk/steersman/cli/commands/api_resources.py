"""`steer api-resources`."""

from __future__ import annotations

import click

from steersman import kinds
from steersman.cli import output
from steersman.cli.command import Command
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.nearest import meant

EPILOG = """\b
Examples:
  steer api-resources
  steer api-resources --namespaced=false -o wide
  steer api-resources --api-group apps -o name
  steer api-resources --verbs list,watch --sort-by kind
"""
_USUAL = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@click.command(cls=Command, epilog=EPILOG)
@click.option(
    "--namespaced",
    type=bool,
    default=None,
    metavar="BOOL",
    help="Only kinds whose objects do or do not live in namespaces.",
)
@click.option("--api-group", default=None, metavar="GROUP", help='Only kinds of this group; "" is the core group.')
@click.option("--verbs", default="", metavar="VERB,...", help="Only kinds that have all of these verbs.")
@click.option("--categories", default="", metavar="NAME,...", help="Only kinds of all of these categories.")
@click.option("--sort-by", type=click.Choice(["name", "kind"]), help="In this order.")
@click.option("-o", "--output", "fmt", type=click.Choice(["wide", "name"]), help="With verbs; or names only.")
@click.option("--no-headers", is_flag=True, help="Leave the headings out.")
@click.option("--cached", is_flag=True, hidden=True, help="The kinds are never asked for.")
def command(
    namespaced: bool | None,
    api_group: str | None,
    verbs: str,
    categories: str,
    sort_by: str | None,
    fmt: str | None,
    no_headers: bool,
    cached: bool,
) -> None:
    """Show the kinds of objects that there are."""
    groups = {kind.group for kind in kinds.every()}
    if api_group is not None and api_group not in groups:
        raise CommandError(f"there is no group {api_group!r}{meant(api_group, groups)}", USAGE)
    chosen = [
        kind for kind in kinds.every() if namespaced in (None, kind.namespaced) and api_group in (None, kind.group)
    ]
    if verbs:
        wanted = {verb.strip() for verb in verbs.split(",")}
        chosen = [kind for kind in chosen if wanted <= set(_verbs(kind))]
    if categories:
        named = {category.strip() for category in categories.split(",")}
        chosen = [kind for kind in chosen if named <= set(kind.categories)]
    if sort_by is not None:
        chosen.sort(key=lambda kind: kind.plural if sort_by == "name" else kind.kind)
    if fmt == "name":
        output.write("\n".join(kind.qualified_plural for kind in chosen))
        return
    headings = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
    rows = [
        [kind.plural, ",".join(kind.short_names), kind.api_version, str(kind.namespaced).lower(), kind.kind]
        for kind in chosen
    ]
    if fmt == "wide":
        headings += ["VERBS", "CATEGORIES"]
        rows = [
            [*row, ",".join(_verbs(kind)), ",".join(kind.categories)] for row, kind in zip(rows, chosen, strict=True)
        ]
    output.write(output.table(headings, rows, head=not no_headers))


def _verbs(kind: kinds.Kind) -> list[str]:
    """The verbs that rules name, of those that the kind's service has."""
    service = kind.message.DESCRIPTOR.file.services_by_name[kind.service.rpartition(".")[2]]
    methods = {method.name.lower() for method in service.methods}
    return [verb for verb in _USUAL if verb in methods]
