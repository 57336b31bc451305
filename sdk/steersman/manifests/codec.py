"""Messages as plain data in Kubernetes' JSON form, and back.

The form is read from the descriptors: `json_name` gives the names, the `inline` option lifts a message's fields into
its parent, `google.protobuf.Timestamp` is an RFC 3339 string, `StringValue` is a quantity, `IntOrString` is either.
Decoding finds every problem, not only the first, and says where each is.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from steersman import kinds
from steersman.meta.v1 import annotations_pb2

M = TypeVar("M", bound=Message)
Path = tuple[str | int, ...]

_INTEGER_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_TIMESTAMP = "google.protobuf.Timestamp"
_STRING_VALUE = "google.protobuf.StringValue"
_INT_OR_STRING = "steersman.meta.v1.IntOrString"
# Messages that hold JSON of any form as bytes.
_JSON = frozenset({"steersman.meta.v1.FieldsV1", "steersman.meta.v1.RawExtension"})


@dataclass(frozen=True)
class Problem:
    """One thing wrong with plain data: where, as a path of names and indexes, and what."""

    path: Path
    text: str

    def __str__(self) -> str:
        return f"{show_path(self.path)}: {self.text}" if self.path else self.text


class DecodeError(ValueError):
    """Plain data is not an object of the kind.

    Attributes:
        problems: everything that is wrong, at least one.
    """

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def show_path(path: Path) -> str:
    """A path as people write it: `spec.containers[0].image`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part and all(c.isalnum() or c in "_-" for c in part):
            text += f".{part}" if text else part
        else:
            text += f"[{part}]"
    return text


def read_path(text: str) -> Path:
    """The path that people write as `spec.containers[0].image`; the other way round than `show_path`."""
    parts: list[str | int] = []
    for index, name in re.findall(r"\[([^\]]*)\]|([^.\[\]]+)", text):
        if name:
            parts.append(name)
        else:
            parts.append(int(index) if index.isdecimal() else index)
    return tuple(parts)


@dataclass(frozen=True)
class _Shape:
    """How a message looks as plain data: each name and the way to its field."""

    fields: Mapping[str, tuple[tuple[FieldDescriptor, ...], FieldDescriptor]]
    """JSON name -> (inline messages to go through, the field)."""


@cache
def _shape(descriptor: Descriptor) -> _Shape:
    fields: dict[str, tuple[tuple[FieldDescriptor, ...], FieldDescriptor]] = {}
    for field in descriptor.fields:
        if is_inline(field):
            for name, (way, inner) in _shape(field.message_type).fields.items():
                fields[name] = ((field, *way), inner)
        else:
            fields[field.json_name] = ((), field)
    return _Shape(fields)


def option(field: FieldDescriptor, extension: Any) -> Any:
    """The value of one of our field options (`steersman.meta.v1`)."""
    return field.GetOptions().Extensions[extension]


def value_of_map(field: FieldDescriptor) -> FieldDescriptor:
    """The field that describes a map's values."""
    assert field.message_type is not None
    return field.message_type.fields_by_name["value"]


@cache
def is_inline(field: FieldDescriptor) -> bool:
    """Whether the field's own fields appear in the parent."""
    return bool(option(field, annotations_pb2.inline))


@cache
def is_map(field: FieldDescriptor) -> bool:
    """Whether the field is a protobuf map."""
    entry = field.message_type
    return bool(field.is_repeated and entry is not None and entry.GetOptions().map_entry)


def field_named(descriptor: Any, name: str) -> tuple[tuple[FieldDescriptor, ...], FieldDescriptor] | None:
    """The field that a JSON name stands for and the inline fields on the way to it; None when there is none."""
    return _shape(descriptor).fields.get(name)


def describe(value: Any) -> str:
    """A value as it is shown in messages: its type and, when short, itself."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the string {value!r}" if len(value) <= 60 else "a string"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return type(value).__name__


# --- plain data -> message ------------------------------------------------------------------------------------------


def decode(message_class: type[M], data: Any, *, on_unknown: Callable[[Problem], None] | None = None) -> M:
    """Turns plain data into a message.

    `apiVersion` and `kind` at the top are not looked at.

    Args:
        message_class: class of the message.
        data: a mapping.
        on_unknown: called with each field that the message does not have; without it such a field is an error.

    Raises:
        DecodeError: something is wrong; it lists everything.
    """
    decoder = _Decoder(on_unknown)
    message = message_class()
    if not isinstance(data, Mapping):
        raise DecodeError([Problem((), f"expected a mapping, got {describe(data)}")])
    decoder.message(message, {k: v for k, v in data.items() if k not in ("apiVersion", "kind")}, ())
    if decoder.problems:
        raise DecodeError(decoder.problems)
    return message


def decode_object(data: Any, *, on_unknown: Callable[[Problem], None] | None = None) -> Message:
    """Turns plain data that names its own kind into a message of that kind.

    Raises:
        DecodeError: the kind is missing or unknown, or something else is wrong.
    """
    if not isinstance(data, Mapping):
        raise DecodeError([Problem((), f"expected an object with apiVersion and kind, got {describe(data)}")])
    missing = [
        Problem((name,), "required: it says which kind of object this is")
        for name in ("apiVersion", "kind")
        if not isinstance(data.get(name), str) or not data[name]
    ]
    if missing:
        raise DecodeError(missing)
    try:
        kind = kinds.by_api(data["apiVersion"], data["kind"])
    except kinds.UnknownKindError:
        others = [k.api_version for k in kinds.every() if k.kind == data["kind"]]
        if others:
            text = f"{data['kind']} is served as {', '.join(others)}, not as {data['apiVersion']}"
            raise DecodeError([Problem(("apiVersion",), text)]) from None
        text = f"unknown kind {data['kind']!r} in {data['apiVersion']}{_meant(data['kind'])}"
        raise DecodeError([Problem(("kind",), text)]) from None
    return decode(kind.message, data, on_unknown=on_unknown)


class _Decoder:
    def __init__(self, on_unknown: Callable[[Problem], None] | None) -> None:
        self.problems: list[Problem] = []
        self._on_unknown = on_unknown

    def fail(self, path: Path, text: str) -> None:
        self.problems.append(Problem(path, text))

    def message(self, message: Message, data: Mapping[Any, Any], path: Path) -> None:
        fields = _shape(message.DESCRIPTOR).fields
        for name, value in data.items():
            here = (*path, name if isinstance(name, str) else str(name))
            found = fields.get(name) if isinstance(name, str) else None
            if found is None:
                problem = Problem(here, unknown_field(str(name), list(fields)))
                if self._on_unknown is not None:
                    self._on_unknown(problem)
                else:
                    self.problems.append(problem)
                continue
            if value is None:
                continue
            way, field = found
            target = message
            for step in way:
                target = getattr(target, step.name)
                target.SetInParent()
            self.field(target, field, value, here)

    def field(self, target: Message, field: FieldDescriptor, value: Any, path: Path) -> None:
        if is_map(field):
            if not isinstance(value, Mapping):
                self.fail(path, f"expected a mapping, got {describe(value)}")
                return
            container = getattr(target, field.name)
            value_field = value_of_map(field)
            for key, item in value.items():
                key = _key(key)
                here = (*path, str(key))
                if not isinstance(key, str):
                    self.fail(here, f"expected a string as the key, got {describe(key)}; put it in quotes")
                elif value_field.message_type is not None:
                    self.value_message(container[key], item, here)
                else:
                    scalar = self.scalar(value_field, "" if item is None else item, here)
                    if scalar is not None:
                        container[key] = scalar
            return
        if field.is_repeated:
            if not isinstance(value, list):
                self.fail(path, f"expected a list, got {describe(value)}")
                return
            container = getattr(target, field.name)
            for index, item in enumerate(value):
                here = (*path, index)
                if field.message_type is not None:
                    self.value_message(container.add(), item, here)
                else:
                    scalar = self.scalar(field, item, here)
                    if scalar is not None:
                        container.append(scalar)
            return
        if field.message_type is not None:
            inner = getattr(target, field.name)
            inner.SetInParent()
            self.value_message(inner, value, path)
            return
        scalar = self.scalar(field, value, path)
        if scalar is not None:
            setattr(target, field.name, scalar)

    def value_message(self, message: Any, value: Any, path: Path) -> None:
        name = message.DESCRIPTOR.full_name
        if name == _STRING_VALUE:
            if isinstance(value, bool) or not isinstance(value, (str, int, float)):
                self.fail(path, f'expected a quantity such as "500m" or "1Gi", got {describe(value)}')
            else:
                message.value = str(value)
        elif name == _INT_OR_STRING:
            if isinstance(value, str):
                message.type, message.str_val = 1, value
            elif isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31:
                message.type, message.int_val = 0, value
                message.SetInParent()
            else:
                self.fail(path, f"expected an integer or a string, got {describe(value)}")
        elif name == _TIMESTAMP:
            try:
                message.FromDatetime(_moment(value))
            except (ValueError, OverflowError):
                self.fail(path, f'expected a time such as "2026-01-31T12:00:00Z", got {describe(value)}')
        elif name in _JSON:
            try:
                message.raw = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
            except (TypeError, ValueError):
                self.fail(path, "expected a value that JSON can hold")
        elif isinstance(value, Mapping):
            self.message(message, self._without_type(message, value, path), path)
        else:
            self.fail(path, f"expected a mapping, got {describe(value)}")

    def _without_type(self, message: Message, data: Mapping[Any, Any], path: Path) -> Mapping[Any, Any]:
        """The data of an object inside another, which may say its own kind, as templates of claims do."""
        if "kind" not in data and "apiVersion" not in data:
            return data
        try:
            kind = kinds.of(message)
        except kinds.UnknownKindError:
            return data
        for name, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
            if data.get(name) not in (None, "", wanted):
                self.fail((*path, name), f"expected {wanted!r}, got {describe(data[name])}")
        return {name: value for name, value in data.items() if name not in ("apiVersion", "kind")}

    def scalar(self, field: FieldDescriptor, value: Any, path: Path) -> Any:
        kind = field.cpp_type
        if field.type == FieldDescriptor.TYPE_BYTES:
            try:
                if isinstance(value, str):
                    return base64.b64decode("".join(value.split()), validate=True)
            except (binascii.Error, ValueError):
                pass
            self.fail(path, f"expected base64, got {describe(value)}")
            return None
        if kind == FieldDescriptor.CPPTYPE_STRING:
            if isinstance(value, str):
                if value.isascii() or _is_unicode(value):
                    return value
                self.fail(path, "expected text, got a string with half of a surrogate pair")
                return None
            hint = "; put it in quotes" if isinstance(value, (int, float, bool)) else ""
            self.fail(path, f"expected a string, got {describe(value)}{hint}")
            return None
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            if isinstance(value, bool):
                return value
            self.fail(path, f"expected true or false, got {describe(value)}")
            return None
        if kind in _INTEGER_RANGES:
            low, high = _INTEGER_RANGES[kind]
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, bool) or not isinstance(value, int):
                self.fail(path, f"expected an integer, got {describe(value)}")
                return None
            if not low <= value <= high:
                self.fail(path, f"expected an integer from {low} to {high}, got {value}")
                return None
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        self.fail(path, f"expected a number, got {describe(value)}")
        return None


def _key(key: Any) -> Any:
    """A key of a map as Kubernetes takes it from YAML: numbers and booleans are their text."""
    if isinstance(key, bool):
        return str(key).lower()
    return str(key) if isinstance(key, int) else key


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unknown_field(name: str, known: list[str]) -> str:
    """What to say of a field that is not there, with the name that was probably meant."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    same = [k for k in known if k.lower() == name.lower()]
    if same or close:
        return f"unknown field; did you mean {(same or close)[0]!r}?"
    return "unknown field"


def _meant(kind: str) -> str:
    """The kind that was probably meant by one that there is not."""
    import difflib

    close = difflib.get_close_matches(kind, sorted({each.kind for each in kinds.every()}), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def _moment(value: Any) -> datetime:
    if not isinstance(value, str):
        raise ValueError(value)
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(value)
    return moment.astimezone(UTC)


# --- message -> plain data ------------------------------------------------------------------------------------------


def encode(message: Message) -> dict[str, Any]:
    """A message as plain data; unset fields are left out, field order is the descriptor's."""
    data: dict[str, Any] = {}
    _encode_into(message, data)
    return data


def encode_object(message: Message) -> dict[str, Any]:
    """An object as plain data with its `apiVersion` and `kind` in front.

    Raises:
        UnknownKindError: the message is not an object.
    """
    kind = kinds.of(message)
    return {"apiVersion": kind.api_version, "kind": kind.kind, **encode(message)}


@cache
def _always(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    """The fields that are written also when they are zero."""
    return tuple(field for field in descriptor.fields if option(field, annotations_pb2.always))


def _encode_into(message: Message, data: dict[str, Any]) -> None:
    for field in _always(message.DESCRIPTOR):
        data[field.json_name] = getattr(message, field.name)
    for field, value in message.ListFields():
        if is_map(field):
            value_field = value_of_map(field)
            data[field.json_name] = {key: _encode_value(value_field, value[key]) for key in sorted(value)}
        elif field.is_repeated:
            data[field.json_name] = [_encode_value(field, item) for item in value]
        elif is_inline(field):
            _encode_into(value, data)
        else:
            data[field.json_name] = _encode_value(field, value)


def _encode_value(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is None:
        return base64.b64encode(value).decode() if field.type == FieldDescriptor.TYPE_BYTES else value
    name = field.message_type.full_name
    if name == _STRING_VALUE:
        return value.value
    if name == _INT_OR_STRING:
        return value.str_val if value.type == 1 else value.int_val
    if name == _TIMESTAMP:
        return show_time(value)
    if name in _JSON:
        return json.loads(value.raw or b"{}")
    return encode(value)


def show_time(stamp: Any) -> str:
    """A timestamp as Kubernetes writes it: whole seconds, or microseconds where there are any."""
    moment: datetime = stamp.ToDatetime(tzinfo=UTC)
    pattern = "%Y-%m-%dT%H:%M:%S.%fZ" if stamp.nanos else "%Y-%m-%dT%H:%M:%SZ"
    return moment.strftime(pattern)
