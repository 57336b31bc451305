"""Fields in templates that a kind does not have. Pure.

A template that finds nothing says nothing, as in kubectl; a person who mistyped a name wants to know it all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from steersman import kinds
from steersman.cli import fields, jsonpath
from steersman.cli.nearest import meant

# What every object and every list has beside what its message says.
_OF_ALL = frozenset({"apiVersion", "kind"})
_OF_LISTS = frozenset({"apiVersion", "kind", "metadata", "items"})


def complaints(kind: kinds.Kind, template: jsonpath.Template, *, of_list: bool = False) -> list[str]:
    """What a template asks for and the kind does not have, each with the name that was probably meant.

    Args:
        kind: the objects' kind.
        template: the template.
        of_list: whether it is about a List of the objects, and not about one.
    """
    found: list[str] = []
    root = _List(kind) if of_list else _Object(kind)
    for part in template.parts:
        found += _of_part(part, root)
    return list(dict.fromkeys(found))


class _Place:
    """Where a path has come to: a message, or something of which nothing is known."""

    def __init__(self, way: str, descriptor: Any) -> None:
        self.way = way
        self.descriptor = descriptor

    def known(self) -> dict[str, Any]:
        return {field.name: field for field in fields.fields_of(self.descriptor)}

    def step(self, name: str) -> _Place | str | None:
        """The place behind a field; what is wrong with the field; None when nothing more can be said."""
        known = self.known()
        if name in known:
            field = known[name]
            is_map = field.type.startswith("map[")
            way = f"{self.way}.{name}"
            return _Place(way, field.message) if field.message is not None and not is_map else None
        return f"{self.way} has no field {name!r}{meant(name, known)}"


class _Object(_Place):
    def __init__(self, kind: kinds.Kind) -> None:
        super().__init__(kind.singular, kind.message.DESCRIPTOR)

    def step(self, name: str) -> _Place | str | None:
        return None if name in _OF_ALL else super().step(name)


class _List(_Place):
    def __init__(self, kind: kinds.Kind) -> None:
        super().__init__("the list", None)
        self._kind = kind

    def step(self, name: str) -> _Place | str | None:
        if name == "items":
            return _Object(self._kind)
        if name in _OF_LISTS:
            return None
        more = "" if meant(name, _OF_LISTS) else f"; of each {self._kind.singular} it is .items[*].{name}"
        return f"a list has no field {name!r}{meant(name, _OF_LISTS)}{more}"


def _of_part(part: jsonpath.Part, place: _Place | None) -> Iterator[str]:
    if isinstance(part, jsonpath.Range):
        inside, found = _walk(part.over, place)
        yield from found
        for each in part.body:
            yield from _of_part(each, inside)
    else:
        yield from _walk(part, place)[1]


def _walk(steps: jsonpath.Steps, place: _Place | None) -> tuple[_Place | None, list[str]]:
    """Where steps lead, and what is wrong on the way."""
    for step in steps:
        if place is None:
            return None, []
        match step:
            case jsonpath.Field(name):
                behind = place.step(name)
                if isinstance(behind, str):
                    return None, [behind]
                place = behind
            case jsonpath.Slice():
                pass
            case jsonpath.Filter(left, _, right):
                found = [*_walk(left, place)[1], *_walk(right, place)[1]]
                if found:
                    return None, found
            case _:
                return None, []
    return place, []
