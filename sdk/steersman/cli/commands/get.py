"""`steer get`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from steersman.cli import session, showing
from steersman.cli.command import Command
from steersman.cli.failures import NOT_FOUND, USAGE, CommandError, say
from steersman.cli.forms import FORM, Form
from steersman.cli.session import Named

if TYPE_CHECKING:
    from steersman.client import Api

EPILOG = """\b
Examples:
  steer get pods                      in the context's namespace
  steer get pods -A -o wide           everywhere, with addresses and nodes
  steer get deploy/web -o yaml        as a manifest
  steer get pods -l app=web -w        and every change from now on
  steer get pods,services             two kinds at once
  steer get pods --sort-by .status.startTime -L app --no-headers
  steer get pods -o custom-columns=NAME:.metadata.name,IMAGES:.spec.containers[*].image
  steer get pods -o jsonpath='{range .items[*]}{.metadata.name}{"\\n"}{end}'
  steer get nodes -o jsonpath='{.items[?(@.spec.unschedulable==true)].metadata.name}'
  steer get -f web.yaml               what a manifest names
  steer get deploy/web --subresource=scale -o yaml
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("what", nargs=-1, metavar="KIND [NAME]... | KIND/NAME...")
@session.namespace_option
@session.all_namespaces_option
@session.selector_options
@session.file_options
@click.option("-o", "--output", "form", type=FORM, help="Another form than a table.")
@click.option("--sort-by", default="", metavar="PATH", help="Sort by a field, as in .status.startTime.")
@click.option("-L", "--label-columns", "labels", multiple=True, metavar="LABEL,...", help="A column for each label.")
@click.option("--show-labels", is_flag=True, help="All labels, in the last column.")
@click.option("--show-kind", is_flag=True, help="Names with their kind.")
@click.option("--show-managed-fields", is_flag=True, help="YAML and JSON with metadata.managedFields.")
@click.option("--no-headers", is_flag=True, help="Leave the headings out.")
@click.option("--ignore-not-found", is_flag=True, help="What is not there is no error.")
@click.option("--chunk-size", type=click.IntRange(0), default=500, metavar="N", help="Ask for so many at once; 0: all.")
@click.option("-w", "--watch", is_flag=True, help="Go on and show every change.")
@click.option("--watch-only", is_flag=True, help="Show only changes, not what there is.")
@click.option("--output-watch-events", is_flag=True, help="With each change, what sort of change it is.")
@click.option("--subresource", type=click.Choice(["status", "scale"]), help="A part of the objects.")
@click.pass_context
def command(
    ctx: click.Context,
    what: tuple[str, ...],
    namespace: str | None,
    all_namespaces: bool,
    selector: str,
    field_selector: str,
    filenames: tuple[str, ...],
    recursive: bool,
    form: Form | None,
    sort_by: str,
    labels: tuple[str, ...],
    show_labels: bool,
    show_kind: bool,
    show_managed_fields: bool,
    no_headers: bool,
    ignore_not_found: bool,
    chunk_size: int,
    watch: bool,
    watch_only: bool,
    output_watch_events: bool,
    subresource: str | None,
) -> None:
    """Show objects: all of a kind, or some by name."""
    style = showing.Style(
        form=form or Form(),
        with_namespace=all_namespaces,
        head=not no_headers,
        with_kind=show_kind,
        labels=[label.strip() for given in labels for label in given.split(",") if label.strip()],
        all_labels=show_labels,
        managed=show_managed_fields,
        sort_by=sort_by,
    )
    watch = watch or watch_only
    if bool(what) == bool(filenames):
        raise CommandError("get what? KIND, KIND/NAME, or -f FILE", USAGE)

    async def work(api: Api) -> bool:
        where = "" if all_namespaces else api.namespace
        wanted = _of_files(filenames, recursive, where) if filenames else [(n, where) for n in session.named(what)]
        if any(named.name is not None for named, _ in wanted) and (selector or field_selector or all_namespaces):
            flag = "-A" if all_namespaces else "-l" if selector else "--field-selector"
            raise CommandError(f"an object that is named needs no {flag}", USAGE)
        if watch:
            await _watch(api, wanted, selector, field_selector, style, watch_only, output_watch_events)
            return True
        search = _Search(api, selector, field_selector, chunk_size, subresource, ignore_not_found)
        return await search.show(wanted, style)

    if not session.run(ctx, namespace, work):
        raise SystemExit(NOT_FOUND)


def _of_files(filenames: Sequence[str], recursive: bool, where: str) -> list[tuple[Named, str]]:
    from steersman import kinds
    from steersman.manifests import files

    manifests = files.read(filenames, recursive=recursive)
    return [(Named(kinds.of(m.obj), m.obj.metadata.name), m.obj.metadata.namespace or where) for m in manifests]


async def _watch(
    api: Api,
    wanted: list[tuple[Named, str]],
    selector: str,
    fields: str,
    style: showing.Style,
    only_changes: bool,
    with_events: bool,
) -> None:
    from steersman.cli import watching

    if len(wanted) != 1:
        raise CommandError("only one kind, or one object, can be watched", USAGE)
    item, where = wanted[0]
    if item.name is not None and not only_changes:
        # Who waits for something that is not there wants to know it.
        await api.resource(item.kind).get(item.name, namespace=where)
    selection = {
        "namespace": where if item.kind.namespaced else "",
        "name": item.name or "",
        "label_selector": selector,
        "field_selector": fields,
    }
    await watching.watch(api, item.kind, style, only_changes=only_changes, with_events=with_events, selection=selection)


class _Search:
    """Looks for objects and shows them."""

    def __init__(
        self, api: Api, selector: str, fields: str, page: int, subresource: str | None, ignore_missing: bool
    ) -> None:
        self._api = api
        self._selector = selector
        self._fields = fields
        self._page = page
        self._subresource = subresource
        self._ignore_missing = ignore_missing
        self._complete = True

    async def show(self, wanted: list[tuple[Named, str]], style: showing.Style) -> bool:
        """Shows what is wanted; whether all that was named is there."""
        groups: dict[Any, list[Any]] = {}
        listed = False
        for item, where in wanted:
            if item.name is None:
                listed = True
                found = await self._api.resource(item.kind).list(
                    namespace=where if item.kind.namespaced else "",
                    label_selector=self._selector,
                    field_selector=self._fields,
                    page=self._page,
                )
                if self._subresource == "scale":
                    found = [await self._one(item.kind, o.metadata.name, o.metadata.namespace) for o in found]
                groups.setdefault(item.kind, []).extend(style.ordered(item.kind, found))
            else:
                one = await self._one(item.kind, item.name, where)
                if one is not None:
                    groups.setdefault(item.kind, []).append(one)
        objects = [obj for group in groups.values() for obj in group]
        if len(groups) == 1 and self._subresource is None:
            style.complain(next(iter(groups)), as_list=listed or len(wanted) > 1)
        if self._subresource == "scale":
            _show_scales(objects, style, as_list=listed or len(wanted) > 1)
        elif not style.form.is_table:
            objects = style.sorted(objects) if style.sort_by and len(groups) > 1 else objects
            showing.write(objects, style, as_list=listed or len(wanted) > 1)
        elif objects:
            from steersman.cli import output

            output.write(showing.tables(list(groups.items()), style))
        elif self._complete and not self._ignore_missing:
            item, where = wanted[0]
            place = f" in namespace {where}" if where and item.kind.namespaced else ""
            click.echo(f"nothing found{place}", err=True)
        return self._complete

    async def _one(self, kind: Any, name: str, where: str) -> Any:
        from steersman import errors

        client = self._api.resource(kind)
        try:
            if self._subresource == "scale":
                return await client.get_scale(name, namespace=where)
            return await client.get(name, namespace=where)
        except errors.Unsupported:
            raise CommandError(f"{kind.plural} have no scale") from None
        except errors.NotFound as error:
            if not self._ignore_missing:
                self._complete = False
                say(error.message)
            return None


def _show_scales(scales: list[Any], style: showing.Style, *, as_list: bool) -> None:
    from steersman.cli import output
    from steersman.manifests import codec

    if style.form.is_table:
        rows = [[s.metadata.name, str(s.spec.replicas), str(s.status.replicas)] for s in scales]
        if rows:
            output.write(output.table(["NAME", "DESIRED", "AVAILABLE"], rows, head=style.head))
        return
    if style.form.name == "name":
        for scale in scales:
            output.write(f"scale.autoscaling/{scale.metadata.name}")
        return
    data = [{"apiVersion": "autoscaling/v1", "kind": "Scale", **codec.encode(scale)} for scale in scales]
    if data or as_list:
        showing.write_data(data, style, as_list=as_list)
