"""Writing objects: aligned tables, YAML, JSON, names."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

from steersman import kinds
from steersman.cli import colour

# What a terminal would obey: the text of an event or of a label is not to move a person's cursor.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """A text on one line, without anything that a terminal would obey."""
    if _CONTROLS.search(text) is None:
        return text
    return _CONTROLS.sub(lambda match: " " if match[0] in "\n\r\t" else f"\\x{ord(match[0]):02x}", text.strip())


def width_of(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def lines(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, head: bool = True, widths: list[int] | None = None
) -> list[str]:
    """Rows in aligned columns, three spaces apart, without spaces at the ends of lines; in colour on a terminal.

    Args:
        headings: of the columns.
        rows: the cells.
        head: whether to begin with the headings.
        widths: of the columns at least; they grow with what is shown.
    """
    shown = [[printable(cell) for cell in row] for row in rows]
    everything = [list(headings), *shown] if head else shown
    widths = widths if widths is not None else [0] * len(headings)
    for row in everything:
        for index, cell in enumerate(row):
            widths[index] = max(widths[index], width_of(cell))
    in_colour = colour.enabled(sys.stdout)
    result = []
    for number, row in enumerate(everything):
        padded = [cell + " " * (width - width_of(cell)) for cell, width in zip(row, widths, strict=True)]
        padded[-1] = padded[-1].rstrip()
        if in_colour:
            is_head = head and number == 0
            padded = [
                colour.painted(cell, "bold") if is_head else colour.cell(heading, cell)
                for cell, heading in zip(padded, headings, strict=True)
            ]
        result.append("   ".join(padded).rstrip())
    return result


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, head: bool = True) -> str:
    """The lines of a table as one text."""
    return "\n".join(lines(headings, rows, head=head))


def tidy(obj: Any, *, managed: bool = False) -> dict[str, Any]:
    """An object as plain data, without the bookkeeping that nobody reads unless `managed` asks for it."""
    from steersman.manifests import codec

    data = codec.encode_object(obj)
    if not managed:
        data.get("metadata", {}).pop("managedFields", None)
    return data


def full_name(obj: Any) -> str:
    """An object as `-o name` writes it: "deployment.apps/web"."""
    kind = kinds.of(obj)
    group = f".{kind.group}" if kind.group else ""
    return f"{kind.singular}{group}/{obj.metadata.name}"


def listed(data: Sequence[Any]) -> dict[str, Any]:
    """Plain data of objects as a List."""
    return {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": list(data)}


def documents(objects: Sequence[Any], fmt: str, *, as_list: bool) -> str:
    """Objects as YAML or JSON: one by itself, several as a List."""
    data = [tidy(obj) for obj in objects]
    return document(listed(data) if as_list else data[0], fmt)


def document(data: Any, fmt: str) -> str:
    """Plain data as YAML or JSON."""
    if fmt == "json":
        import json

        return json.dumps(data, indent=2, ensure_ascii=False)
    from steersman.manifests import files

    return files.yaml_of([data]).rstrip("\n")


def write(text: str, end: str = "\n") -> None:
    """Writes a text and a line's end to standard output, at once."""
    if sys.stdout is None:
        # Somebody closed it, and wants to hear nothing.
        return
    try:
        sys.stdout.write(text + end)
    except UnicodeEncodeError:
        # A terminal or a locale that cannot show everything.
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write((text + end).encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
