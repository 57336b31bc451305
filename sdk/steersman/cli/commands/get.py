"""`steer get`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from steersman.cli import cells, columns, output, session
from steersman.cli.failures import NOT_FOUND, CommandError, say
from steersman.cli.session import Named
from steersman.client import BOOKMARK, DELETED, Api

EPILOG = """\b
Examples:
  steer get pods                      in the context's namespace
  steer get pods -A -o wide           everywhere, with addresses and nodes
  steer get deploy/web -o yaml        as a manifest
  steer get pods -l app=web -w        and every change from now on
  steer get pods,services             two kinds at once
"""


@click.command(epilog=EPILOG)
@click.argument("what", nargs=-1, required=True, metavar="KIND [NAME]... | KIND/NAME...")
@session.namespace_option
@session.all_namespaces_option
@session.selector_options
@click.option("-o", "--output", "fmt", type=click.Choice(output.FORMATS), help="Another form than a table.")
@click.option("-w", "--watch", is_flag=True, help="Go on and show every change.")
@click.option("--no-headers", is_flag=True, help="Leave the headings out.")
@click.pass_context
def command(
    ctx: click.Context,
    what: tuple[str, ...],
    namespace: str | None,
    all_namespaces: bool,
    selector: str,
    field_selector: str,
    fmt: str | None,
    watch: bool,
    no_headers: bool,
) -> None:
    """Show objects: all of a kind, or some by name."""

    async def work(api: Api) -> bool:
        wanted = session.named(what)
        shown = _Shown(fmt, all_namespaces, head=not no_headers)
        where = "" if all_namespaces else api.namespace
        if watch:
            if len({item.kind for item in wanted}) != 1 or len(wanted) > 1:
                raise CommandError("only one kind, or one object, can be watched")
            await _watch(api, wanted[0], where, selector, field_selector, shown)
            return True
        return await _show(api, wanted, where, selector, field_selector, shown, single=len(wanted) == 1)

    if not session.run(ctx, namespace, work):
        raise SystemExit(NOT_FOUND)


class _Shown:
    """How objects are shown."""

    def __init__(self, fmt: str | None, with_namespace: bool, *, head: bool) -> None:
        self.fmt = fmt
        self.with_namespace = with_namespace
        self.head = head

    def columns(self, kind: Any) -> list[cells.Column]:
        return columns.columns(kind, wide=self.fmt == "wide", with_namespace=self.with_namespace)

    @property
    def as_table(self) -> bool:
        return self.fmt in (None, "wide")


async def _show(
    api: Api, wanted: list[Named], where: str, selector: str, fields: str, shown: _Shown, *, single: bool
) -> bool:
    from steersman import errors

    groups: dict[Any, list[Any]] = {}
    complete = True
    for item in wanted:
        client = api.resource(item.kind)
        if item.name is None:
            namespace = where if item.kind.namespaced else ""
            found = await client.list(namespace=namespace, label_selector=selector, field_selector=fields)
            groups.setdefault(item.kind, []).extend(columns.order(item.kind, found))
            continue
        try:
            groups.setdefault(item.kind, []).append(await client.get(item.name, namespace=where))
        except errors.NotFound as error:
            complete = False
            say(error.message)
    objects = [obj for group in groups.values() for obj in group]
    if not shown.as_table:
        _documents(objects, shown.fmt or "", as_list=not (single and wanted[0].name is not None))
        return complete
    if not objects:
        if complete:
            place = f" in namespace {where}" if where and wanted[0].kind.namespaced else ""
            click.echo(f"nothing found{place}", err=True)
        return complete
    now = datetime.now(UTC)
    tables = []
    for kind, group in groups.items():
        if not group:
            continue
        chosen = shown.columns(kind)
        rows = [columns.cells(obj, chosen, now) for obj in group]
        if len(groups) > 1:
            name = next(i for i, column in enumerate(chosen) if column.heading in ("NAME", "OBJECT"))
            for row, obj in zip(rows, group, strict=True):
                row[name] = output.full_name(obj)
        tables.append(output.table([c.heading for c in chosen], rows, head=shown.head))
    output.write("\n\n".join(tables))
    return complete


def _documents(objects: list[Any], fmt: str, *, as_list: bool) -> None:
    if fmt == "name":
        for obj in objects:
            output.write(output.full_name(obj))
    elif objects or as_list:
        output.write(output.documents(objects, fmt, as_list=as_list))


async def _watch(api: Api, item: Named, where: str, selector: str, fields: str, shown: _Shown) -> None:
    """Shows the present state and every change; columns are as wide as the widest cell so far."""
    chosen = shown.columns(item.kind)
    widths = [len(column.heading) for column in chosen]
    pending: list[list[str]] = []
    started = False

    def line(row: list[str]) -> str:
        for index, cell in enumerate(row):
            widths[index] = max(widths[index], len(cell))
        return "   ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()

    watch = api.resource(item.kind).watch(
        namespace=where if item.kind.namespaced else "",
        name=item.name or "",
        label_selector=selector,
        field_selector=fields,
    )
    async for event in watch:
        if event.type == BOOKMARK:
            if event.initial_state_end and shown.as_table:
                started = True
                for row in pending:
                    line(row)
                if shown.head:
                    output.write(line([column.heading for column in chosen]))
                for row in sorted(pending):
                    output.write(line(row))
            continue
        if not shown.as_table:
            _documents([event.object], shown.fmt or "", as_list=False)
            continue
        row = columns.cells(event.object, chosen, datetime.now(UTC))
        if not started:
            pending.append(row)
        else:
            output.write(line(row) + ("   (deleted)" if event.type == DELETED else ""))
