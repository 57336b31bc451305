"""The fields of kinds as manifests have them, and what the protos say of them. Pure, but for reading that data once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from steersman import kinds
from steersman.cli.nearest import meant
from steersman.manifests import codec

_SNAKE = re.compile(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b")
_SIMPLE = {
    "google.protobuf.Timestamp": "Time",
    "google.protobuf.StringValue": "Quantity",
    "steersman.meta.v1.IntOrString": "IntOrString",
    "steersman.meta.v1.FieldsV1": "Object",
    "steersman.meta.v1.RawExtension": "Object",
}


class NoSuchFieldError(LookupError):
    """A path leads nowhere; the message says where it ends, and what was probably meant."""


@dataclass(frozen=True)
class Field:
    """A field as manifests have it.

    Attributes:
        name: its name in manifests.
        type: its type in words: "string", "[]Container", "map[string]string".
        text: what the protos say of it; paragraphs are lines.
        message: descriptor of what is in it; None for a simple value.
    """

    name: str
    type: str
    text: str
    message: Any = None


@cache
def _docs() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(files("steersman").joinpath("_docs.json").read_text(encoding="utf-8"))
    return loaded


def about(descriptor: Any) -> str:
    """What the protos say of a message."""
    text, _ = _docs().get(descriptor.full_name, ("", {}))
    return _in_names_of_manifests(text, descriptor)


def fields_of(descriptor: Any) -> Iterator[Field]:
    """The fields of a message, in the protos' order; those of inlined messages where these stand."""
    _, texts = _docs().get(descriptor.full_name, ("", {}))
    for field in descriptor.fields:
        if codec.is_inline(field):
            yield from fields_of(field.message_type)
            continue
        text = _in_names_of_manifests(texts.get(field.name, ""), descriptor)
        yield Field(field.json_name, _type_of(field), text, _inside(field))


def root_of(kind: kinds.Kind) -> Field:
    """A kind as a field."""
    descriptor = kind.message.DESCRIPTOR
    return Field("", kind.kind, about(descriptor), descriptor)


def follow(kind: kinds.Kind, path: list[str]) -> Field:
    """The field at the end of a path.

    Raises:
        NoSuchFieldError: there is none.
    """
    found = root_of(kind)
    way = kind.singular
    for name in path:
        if found.message is None:
            raise NoSuchFieldError(f"{way} is a {found.type}, and has no fields")
        known = {field.name: field for field in fields_of(found.message)}
        if not found.name:
            known |= {each.name: each for each in _OF_EVERY}
        if name not in known:
            hint = meant(name, known) or f"; it has: {', '.join(known)}"
            raise NoSuchFieldError(f"{way} has no field {name!r}{hint}")
        found = known[name]
        way = f"{way}.{name}"
    return found


_OF_EVERY = (
    Field("apiVersion", "string", 'Group and version of the kind: "v1", "apps/v1".'),
    Field("kind", "string", 'Name of the kind: "Pod", "Deployment".'),
)


def all_of(kind: kinds.Kind) -> list[Field]:
    """The fields of a kind itself, with those that every manifest has."""
    return [*_OF_EVERY, *fields_of(kind.message.DESCRIPTOR)]


def _inside(field: Any) -> Any:
    if codec.is_map(field):
        return _inside(codec.value_of_map(field))
    message = field.message_type
    return None if message is None or message.full_name in _SIMPLE else message


def _type_of(field: Any) -> str:
    if codec.is_map(field):
        return f"map[string]{_type_of(codec.value_of_map(field))}"
    message = field.message_type
    if message is not None:
        name = _SIMPLE.get(message.full_name, message.name)
    else:
        name = {
            field.CPPTYPE_STRING: "string",
            field.CPPTYPE_BOOL: "boolean",
            field.CPPTYPE_DOUBLE: "number",
            field.CPPTYPE_FLOAT: "number",
            field.CPPTYPE_ENUM: "string",
        }.get(field.cpp_type, "integer")
        name = "base64" if field.type == field.TYPE_BYTES else name
    return f"[]{name}" if field.is_repeated else name


def _in_names_of_manifests(text: str, descriptor: Any) -> str:
    """A comment, which speaks of fields by their proto names, with the names of manifests."""

    def one(match: re.Match[str]) -> str:
        field = descriptor.fields_by_name.get(match[0])
        if field is not None:
            return str(field.json_name)
        head, *rest = match[0].split("_")
        return head + "".join(part.capitalize() for part in rest)

    return _SNAKE.sub(one, text)
