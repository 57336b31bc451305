"""Sets of fields, in the form in which Kubernetes writes them into `managedFields`.

A set is a nested dict. Its keys are `f:<name>` for a field or a map's key, `k:{"name":"web"}` for an element of a list
that has keys, `v:"x"` for an element of a set; `.` stands for the element itself. An empty dict is a leaf: the value
as a whole.

    {"f:spec": {"f:replicas": {}, "f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}}}}}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from steersman.manifests import codec
from steersman.meta.v1 import annotations_pb2

FieldSet = dict[str, Any]

# Keys that may be left out of an applied element; without this it would not be found in the stored list.
_KEY_DEFAULTS = {"protocol": "TCP"}
SELF = "."

# Messages that are one value, however many fields they have.
_VALUES = frozenset(
    {
        "google.protobuf.Timestamp",
        "google.protobuf.StringValue",
        "steersman.meta.v1.IntOrString",
        "steersman.meta.v1.FieldsV1",
        "steersman.meta.v1.RawExtension",
    }
)


def is_leaf(field: FieldDescriptor) -> bool:
    """Whether the field has one owner as a whole."""
    if codec.option(field, annotations_pb2.atomic):
        return True
    if codec.is_map(field):
        return False
    if field.is_repeated:
        return not (list_keys(field) or is_set(field))
    message = field.message_type
    if message is None or message.full_name in _VALUES:
        return True
    whole = message.GetOptions().Extensions[cast(Any, annotations_pb2.whole)]
    return bool(whole and not codec.option(field, annotations_pb2.granular))


def is_set(field: FieldDescriptor) -> bool:
    """Whether the field is a list of scalars whose elements are owned one by one."""
    return bool(codec.option(field, annotations_pb2.list_set))


def list_keys(field: FieldDescriptor) -> list[str]:
    """JSON names of the fields that identify the elements of a list; empty when the list has no keys."""
    return list(codec.option(field, annotations_pb2.list_map_key))


def element_key(field: FieldDescriptor, element: Message) -> str:
    """The set's key of a list element."""
    identity: dict[str, Any] = {}
    for name in list_keys(field):
        found = codec.field_named(element.DESCRIPTOR, name)
        if found is not None:
            identity[name] = getattr(element, found[1].name) or _KEY_DEFAULTS.get(name, "")
    return "k:" + json.dumps(identity, separators=(",", ":"), sort_keys=True)


def value_key(value: Any) -> str:
    """The set's key of an element of a set of scalars."""
    return "v:" + json.dumps(value, separators=(",", ":"))


def of_message(message: Message) -> FieldSet:
    """The fields that are set in a message."""
    fields: FieldSet = {}
    for field, value in message.ListFields():
        if codec.is_inline(field):
            fields.update(of_message(value))
            continue
        key = f"f:{field.json_name}"
        if is_leaf(field):
            fields[key] = {}
        elif codec.is_map(field):
            fields[key] = {f"f:{name}": {} for name in value}
        elif is_set(field):
            fields[key] = {value_key(item): {} for item in value}
        elif field.is_repeated:
            fields[key] = {element_key(field, item): {SELF: {}, **of_message(item)} for item in value}
        else:
            fields[key] = of_message(value)
    return fields


def leaves(fields: FieldSet, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of a set's leaves."""
    for key, inner in fields.items():
        if inner:
            yield from leaves(inner, (*path, key))
        else:
            yield (*path, key)


def of_leaves(paths: Iterator[tuple[str, ...]] | set[tuple[str, ...]]) -> FieldSet:
    """The set that has these leaves."""
    fields: FieldSet = {}
    for path in sorted(paths):
        here = fields
        for key in path:
            here = here.setdefault(key, {})
    return fields


def show(path: tuple[str, ...]) -> str:
    """A leaf's path as people write it: `spec.template.spec.containers[name="web"].image`."""
    text = ""
    for key in path:
        if key == SELF:
            continue
        mark, rest = key[:2], key[2:]
        if mark == "k:":
            pairs = (f"{name}={json.dumps(value)}" for name, value in json.loads(rest).items())
            text += f"[{','.join(pairs)}]"
        elif mark == "v:":
            text += f"[{rest}]"
        else:
            text += f".{rest}" if text else rest
    return text
