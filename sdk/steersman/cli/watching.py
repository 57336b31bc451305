"""`steer get -w`: the present state and every change, as a table that lives on a terminal, or line by line."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from datetime import UTC, datetime
from typing import Any

from steersman.cli import cells, columns, output, showing
from steersman.cli.following import follow
from steersman.cli.showing import Style
from steersman.client import ADDED, BOOKMARK, DELETED, Api

# A table is drawn again at most so often, and at least so often: ages grow.
REDRAW_S, AGE_S = 0.1, 1.0
NAMES = {ADDED: "ADDED", DELETED: "DELETED"}


async def watch(
    api: Api, kind: Any, style: Style, *, only_changes: bool, with_events: bool, selection: dict[str, Any]
) -> None:
    """Shows a kind's objects and their changes for ever.

    Raises:
        ApiError: the watch is refused, or the apiserver away for long.
    """
    client = api.resource(kind)
    if only_changes:
        _, revision = await client.list_at(
            namespace=selection["namespace"],
            label_selector=selection["label_selector"],
            field_selector=selection["field_selector"],
        )
        selection = {**selection, "resource_version": revision}
    events = follow(client, **selection)
    if style.form.is_table and not only_changes and not with_events and sys.stdout.isatty():
        await _live(events, kind, style)
    elif style.form.is_table:
        await _lines(events, kind, style, started=only_changes, with_events=with_events)
    else:
        async for event in events:
            if event.type != BOOKMARK:
                _document(event, style, with_events=with_events)


def _document(event: Any, style: Style, *, with_events: bool) -> None:
    if not with_events:
        showing.write([event.object], style, as_list=False)
        return
    name = NAMES.get(event.type, "MODIFIED")
    if style.form.name == "name":
        output.write(f"{name} {output.full_name(event.object)}")
        return
    data = {"type": name, "object": output.tidy(event.object, managed=style.managed)}
    if style.form.name == "json":
        output.write(json.dumps(data, ensure_ascii=False))
    else:
        showing.write_data([data], style, as_list=False)


async def _lines(events: Any, kind: Any, style: Style, *, started: bool, with_events: bool) -> None:
    """A line for each object and each change; columns are as wide as the widest cell so far."""
    chosen = style.columns_of(kind)
    if with_events:
        chosen.insert(0, cells.Column("EVENT", lambda *_: ""))
    headings = [column.heading for column in chosen]
    widths = [0] * len(chosen)
    pending: list[list[str]] = []
    head = style.head

    def say(rows: list[list[str]]) -> None:
        nonlocal head
        shown = output.lines(headings, rows, head=head, widths=widths)
        if shown:
            output.write("\n".join(shown))
        head = False

    if started:
        say([])
    async for event in events:
        if event.type == BOOKMARK:
            if event.initial_state_end and not started:
                started = True
                say(sorted(pending))
            continue
        row = columns.cells(event.object, chosen, datetime.now(UTC))
        if with_events:
            row[0] = NAMES.get(event.type, "MODIFIED")
        if not started:
            pending.append(row)
        else:
            gone = event.type == DELETED and not with_events
            if gone:
                row[-1] += "   (deleted)"
            say([row])


class Table:
    """The objects of a live table, and what is on the screen of them. Pure but for `draw`.

    A deleted object stays for one more drawing, marked as such.
    """

    def __init__(self, kind: Any, style: Style) -> None:
        self._kind = kind
        self._style = style
        self._columns = style.columns_of(kind)
        self._objects: dict[tuple[str, str], Any] = {}
        self._deleted: set[tuple[str, str]] = set()
        self._drawn = 0

    def take(self, event: Any) -> None:
        """Takes a change in."""
        key = (event.object.metadata.namespace, event.object.metadata.name)
        self._objects[key] = event.object
        if event.type == DELETED:
            self._deleted.add(key)
        else:
            self._deleted.discard(key)

    def begin_again(self) -> None:
        """Forgets everything: all that there is will come again."""
        self._objects.clear()
        self._deleted.clear()

    def lines(self, now: datetime, height: int) -> list[str]:
        """The lines of the table, at most so many."""
        objects = self._style.ordered(self._kind, list(self._objects.values()))
        rows = []
        for obj in objects:
            row = columns.cells(obj, self._columns, now)
            if (obj.metadata.namespace, obj.metadata.name) in self._deleted:
                row[-1] += "   (deleted)"
            rows.append(row)
        for key in self._deleted:
            self._objects.pop(key, None)
        self._deleted.clear()
        shown = output.lines([column.heading for column in self._columns], rows, head=self._style.head)
        if len(shown) > height:
            left = len(shown) - height + 1
            shown = [*shown[: height - 1], f"... and {left} more"]
        return shown

    def draw(self, now: datetime) -> None:
        """Draws the table where it stood before."""
        size = shutil.get_terminal_size()
        shown = self.lines(now, max(3, size.lines - 2)) or ["nothing found"]
        # A line that wraps would make the next drawing begin too low.
        shown = [_cut(line, size.columns - 1) for line in shown]
        back = f"\x1b[{self._drawn}F" if self._drawn else ""
        output.write(back + "\x1b[J" + "\n".join(shown))
        self._drawn = len(shown)


def _cut(line: str, width: int) -> str:
    """A line's first columns; what colours it takes none."""
    found, taken, at = "", 0, 0
    while at < len(line) and taken < width:
        if line[at] == "\x1b":
            end = line.index("m", at) + 1
            found += line[at:end]
            at = end
            continue
        found += line[at]
        taken += output.width_of(line[at])
        at += 1
    return found + ("\x1b[0m" if "\x1b" in found else "")


async def _live(events: Any, kind: Any, style: Style) -> None:
    """Draws the table again when something changes, and as ages grow."""
    shown = Table(kind, style)
    begun = False
    changed = asyncio.Event()

    async def read() -> None:
        nonlocal begun
        async for event in events:
            if event.type != BOOKMARK:
                shown.take(event)
            elif event.initial_state_end:
                begun = True
            if begun:
                changed.set()

    reading = asyncio.create_task(read())
    waiting: asyncio.Task[Any] | None = None
    try:
        while not reading.done():
            waiting = asyncio.create_task(changed.wait())
            await asyncio.wait({reading, waiting}, timeout=AGE_S, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            changed.clear()
            if begun:
                shown.draw(datetime.now(UTC))
            await asyncio.sleep(REDRAW_S)
        await reading
    finally:
        reading.cancel()
