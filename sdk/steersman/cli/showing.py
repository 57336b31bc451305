"""How `steer get` shows objects: as the table of their kind with further columns, or in one of the other forms."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from steersman import kinds
from steersman.cli import cells, columns, output
from steersman.cli.failures import FAILED, CommandError
from steersman.cli.forms import Form


@dataclass(frozen=True)
class Style:
    """What the flags say of how objects are shown.

    Attributes:
        form: the form of output.
        with_namespace: whether a table begins with the namespace.
        head: whether a table has headings.
        with_kind: whether names are written with their kind.
        labels: labels that have columns of their own.
        all_labels: whether the last column is all labels.
        managed: whether managedFields are shown.
        sort_by: what objects are sorted by; empty: by name.
    """

    form: Form = field(default_factory=Form)
    with_namespace: bool = False
    head: bool = True
    with_kind: bool = False
    labels: Sequence[str] = ()
    all_labels: bool = False
    managed: bool = False
    sort_by: str = ""

    def columns_of(self, kind: kinds.Kind, *, with_kind: bool = False) -> list[cells.Column]:
        """The columns of a kind's table."""
        chosen = columns.columns(kind, wide=self.form.name == "wide", with_namespace=self.with_namespace)
        if self.with_kind or with_kind:
            name = next((i for i, column in enumerate(chosen) if column.heading in ("NAME", "OBJECT")), 0)
            heading = chosen[name].heading
            chosen[name] = cells.Column(heading, lambda obj, _: output.full_name(obj))
        chosen += [cells.Column(_heading(label), _label(label)) for label in self.labels]
        if self.all_labels:
            chosen.append(cells.Column("LABELS", lambda obj, _: cells.pairs(obj.metadata.labels)))
        return chosen

    def ordered(self, kind: kinds.Kind, objects: Sequence[Any]) -> list[Any]:
        """The objects in the order that was asked for."""
        if not self.sort_by:
            return columns.order(kind, list(objects))
        try:
            return self.sorted(objects)
        except CommandError as error:
            from steersman.cli import jsonpath, misspelt

            found: list[str] = []
            with suppress(jsonpath.JsonPathError):
                found = misspelt.complaints(kind, jsonpath.relaxed(self.sort_by))
            raise CommandError("; ".join([str(error), *found]), error.code) from error

    def complain(self, kind: kinds.Kind, *, as_list: bool) -> None:
        """Warns of fields that the kind does not have, in what the flags ask for."""
        from steersman.cli import misspelt

        found: list[str] = []
        for column in self.form.columns:
            found += misspelt.complaints(kind, column.path)
        if self.form.template is not None:
            found += misspelt.complaints(kind, self.form.template, of_list=as_list)
        for words in found:
            print(f"warning: {words}", file=sys.stderr)

    def sorted(self, objects: Sequence[Any]) -> list[Any]:
        """The objects by what `--sort-by` finds.

        Raises:
            CommandError: they cannot be sorted by it.
        """
        from steersman.cli import sorting

        try:
            return sorting.by_path(self.sort_by, objects, [output.tidy(obj) for obj in objects])
        except sorting.SortError as error:
            raise CommandError(str(error)) from error


def _heading(label: str) -> str:
    return label.rpartition("/")[2].upper()


def _label(label: str) -> Any:
    return lambda obj, _: obj.metadata.labels.get(label, "<none>")


def tables(groups: Sequence[tuple[kinds.Kind, Sequence[Any]]], style: Style) -> str:
    """Objects of some kinds as tables, one below the other."""
    now = datetime.now(UTC)
    several = sum(1 for _, group in groups if group) > 1
    shown = []
    for kind, group in groups:
        if group:
            chosen = style.columns_of(kind, with_kind=several)
            rows = [columns.cells(obj, chosen, now) for obj in group]
            shown.append(output.table([column.heading for column in chosen], rows, head=style.head))
    return "\n\n".join(shown)


def write(objects: Sequence[Any], style: Style, *, as_list: bool) -> None:
    """Writes objects in a form that is no table.

    Raises:
        CommandError: a template does not fit the objects.
    """
    form = style.form
    if form.name == "name":
        for obj in objects:
            output.write(output.full_name(obj))
        return
    if not objects and not as_list:
        return
    data = [output.tidy(obj, managed=style.managed) for obj in objects]
    write_data(data, style, as_list=as_list)


def write_data(data: Sequence[Any], style: Style, *, as_list: bool) -> None:
    """Writes the plain data of objects in a form that is neither a table nor names.

    Raises:
        CommandError: a template does not fit them.
    """
    from steersman.cli import custom_columns, jsonpath

    form = style.form
    try:
        if form.columns:
            rows = custom_columns.rows(form.columns, data)
            headings = [column.heading for column in form.columns]
            if rows or style.head:
                output.write(output.table(headings, rows, head=style.head))
            return
        document = output.listed(data) if as_list else data[0]
        if form.template is None:
            output.write(output.document(document, form.name))
        elif form.name == "jsonpath-as-json":
            output.write(output.document(form.template.find(document), "json"))
        else:
            text = form.template.render(document)
            # Scripts get what the template says and no more; a person's prompt is to begin on a line of its own.
            output.write(text, end="\n" if text and not text.endswith("\n") and sys.stdout.isatty() else "")
    except jsonpath.JsonPathError as error:
        raise CommandError(f"-o {form.name}: {error}", FAILED) from error
