"""`steer events`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from steersman.cli import columns, output, session, showing
from steersman.cli.command import Command
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.forms import FORM, Form
from steersman.cli.nearest import meant

if TYPE_CHECKING:
    from steersman.client import Api

EPILOG = """\b
Examples:
  steer events                              of the context's namespace, the newest last
  steer events --for pod/web-6n-x2x -w      of one object, and those to come
  steer events -A --types Warning
"""
TYPES = ("Normal", "Warning")


@click.command(cls=Command, epilog=EPILOG)
@session.namespace_option
@session.all_namespaces_option
@click.option("--for", "about", metavar="KIND/NAME", help="Only those about an object.")
@click.option("--types", default="", metavar="TYPE,...", help="Only Normal, or only Warning.")
@click.option("-w", "--watch", is_flag=True, help="Go on with those to come.")
@click.option("-o", "--output", "form", type=FORM, help="Another form than a table.")
@click.option("--no-headers", is_flag=True, help="Leave the headings out.")
@click.option("--chunk-size", type=click.IntRange(0), default=500, metavar="N", help="Ask for so many at once; 0: all.")
@click.pass_context
def command(
    ctx: click.Context,
    namespace: str | None,
    all_namespaces: bool,
    about: str | None,
    types: str,
    watch: bool,
    form: Form | None,
    no_headers: bool,
    chunk_size: int,
) -> None:
    """Show what happened, in order."""
    wanted = _types(types)
    style = showing.Style(form=form or Form(), with_namespace=all_namespaces, head=not no_headers)

    async def work(api: Api) -> None:
        from steersman import kinds

        kind = kinds.by_name("events")
        where = "" if all_namespaces else api.namespace
        selection = {"namespace": where, "field_selector": _selector(about)}
        objects, revision = await api.events.list_at(**selection, page=chunk_size)
        found = [each for each in columns.order(kind, list(objects)) if not wanted or each.type in wanted]
        if not style.form.is_table:
            if found or not watch:
                showing.write(found, style, as_list=True)
        elif found:
            output.write(showing.tables([(kind, found)], style))
        elif not watch:
            click.echo("no events" + (f" in namespace {where}" if where else ""), err=True)
        if watch:
            await _follow(api, kind, style, wanted, {**selection, "resource_version": revision}, found)

    session.run(ctx, namespace, work)


def _types(text: str) -> frozenset[str]:
    found = set()
    for word in filter(None, (part.strip() for part in text.split(","))):
        known = {each.lower(): each for each in TYPES}
        if word.lower() not in known:
            raise CommandError(f"--types {word}: events are Normal or Warning{meant(word, TYPES)}", USAGE)
        found.add(known[word.lower()])
    return frozenset(found)


def _selector(about: str | None) -> str:
    if not about:
        return ""
    item = session.one([about])
    return f"involvedObject.kind={item.kind.kind},involvedObject.name={item.name}"


async def _follow(
    api: Api, kind: Any, style: showing.Style, wanted: frozenset[str], selection: dict[str, Any], shown: list[Any]
) -> None:
    from datetime import UTC, datetime

    from steersman.cli.following import follow
    from steersman.client import BOOKMARK, DELETED

    chosen = style.columns_of(kind)
    headings = [column.heading for column in chosen]
    now = datetime.now(UTC)
    widths = [0] * len(chosen)
    output.lines(headings, [columns.cells(each, chosen, now) for each in shown], widths=widths)
    head = style.head and not shown
    async for event in follow(api.events, **selection):
        if event.type in (BOOKMARK, DELETED) or (wanted and event.object.type not in wanted):
            continue
        if not style.form.is_table:
            showing.write([event.object], style, as_list=False)
            continue
        row = columns.cells(event.object, chosen, datetime.now(UTC))
        output.write("\n".join(output.lines(headings, [row], head=head, widths=widths)))
        head = False
