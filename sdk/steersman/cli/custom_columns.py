"""The columns of `-o custom-columns`: a heading and a JSONPath each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from steersman.cli import jsonpath

NONE = "<none>"


class CustomColumnsError(ValueError):
    """The columns make no sense; the message says why."""


@dataclass(frozen=True)
class CustomColumn:
    """A column: its heading, and where the cells come from."""

    heading: str
    path: jsonpath.Template

    def cell(self, data: Any) -> str:
        """The cell of an object as plain data; several values are joined by commas.

        Raises:
            JsonPathError: the path does not fit the object.
        """
        found = self.path.find(data)
        return ",".join(NONE if value is None else jsonpath.show(value) for value in found) or NONE


def of_spec(spec: str) -> list[CustomColumn]:
    """The columns that "NAME:.metadata.name,IMAGE:.spec.containers[*].image" means.

    Raises:
        CustomColumnsError: it makes no sense.
    """
    if not spec.strip():
        raise CustomColumnsError("which columns? for example NAME:.metadata.name,NODE:.spec.nodeName")
    found = []
    for part in _split(spec):
        heading, colon, path = part.partition(":")
        if not colon or not heading.strip() or not path.strip():
            raise CustomColumnsError(f"{part!r} is not HEADING:PATH, as in NODE:.spec.nodeName")
        found.append(_column(heading.strip(), path))
    return found


def of_template(text: str) -> list[CustomColumn]:
    """The columns of a file: a line of headings and a line of paths.

    Raises:
        CustomColumnsError: it is not such a file.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) != 2:
        raise CustomColumnsError(f"expected two lines, headings and paths, found {len(lines)}")
    headings, paths = lines
    if len(headings) != len(paths):
        raise CustomColumnsError(f"{len(headings)} headings stand over {len(paths)} paths")
    return [_column(heading, path) for heading, path in zip(headings, paths, strict=True)]


def _column(heading: str, path: str) -> CustomColumn:
    try:
        return CustomColumn(heading, jsonpath.relaxed(path))
    except jsonpath.JsonPathError as error:
        raise CustomColumnsError(f"column {heading}: {error}") from error


def _split(spec: str) -> list[str]:
    """The parts between commas that are not inside brackets."""
    parts: list[str] = [""]
    depth = 0
    for char in spec:
        depth += (char in "[(") - (char in "])")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def rows(columns: Sequence[CustomColumn], objects: Sequence[Any]) -> list[list[str]]:
    """The table's cells.

    Raises:
        JsonPathError: a path does not fit an object.
    """
    return [[column.cell(data) for column in columns] for data in objects]
