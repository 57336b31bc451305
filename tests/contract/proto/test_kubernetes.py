"""Bytes encoded here decode with Kubernetes' own schema, and back.

`kubernetes.txt` lists what Kubernetes publishes (tools/kubernetes_schema.py); from it a schema is built here, so that
the bytes of every message of ours are read by it.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pool, message_factory, unknown_fields
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import Message
from steersman import kinds
from steersman.manifests import codec

from tests import manifests

LISTING = Path(__file__).parent / "kubernetes.txt"

Fields = dict[int, tuple[str, str]]

# Our names of messages that are called otherwise there.
CALLED = {
    "google.protobuf.Timestamp": ("meta.v1.Time", "meta.v1.MicroTime"),
    "google.protobuf.StringValue": ("resource.Quantity",),
    "steersman.meta.v1.IntOrString": ("intstr.IntOrString",),
    "steersman.meta.v1.RawExtension": ("runtime.RawExtension",),
}
# Messages of ours alone: requests, answers, and what streams carry.
OURS = re.compile(
    r"(WriteRequest|WatchEvent|Request|Response)$|^core\.v1\.(PodExecStart|TerminalSize|PodPortForwardStart|PodAttachStart"
    r"|PodBindFailure)$|^meta\.v1\.Resource$"
)
# Fields whose name in Kubernetes' protobuf is not the one that its JSON has.
NAMED = {"steersman.networking.v1.IngressClassParametersReference.api_group": "aPIGroup"}


@cache
def published() -> dict[str, Fields]:
    """What Kubernetes publishes: message -> number -> (name, type)."""
    found: dict[str, Fields] = {}
    for line in LISTING.read_text().splitlines():
        if line.startswith("#") or not line:
            continue
        if not line.startswith(" "):
            found[line] = fields = {}
        else:
            number, name, kind = line.strip().split(" ", 2)
            fields[int(number)] = (name, kind)
    return found


def shown(descriptor: Descriptor) -> str:
    """The name of a message of ours in the listing."""
    name = descriptor.full_name.removeprefix("steersman.")
    if name not in published() and name.startswith("batch.v1."):
        return f"scheduling.v1alpha3.{descriptor.name}"
    return CALLED[descriptor.full_name][0] if descriptor.full_name in CALLED else name


_SCALARS = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
}


def types_of(field: FieldDescriptor) -> set[str]:
    """The types, as the listing writes them, that are the same on the wire as a field of ours."""
    if codec.is_map(field):
        key = _SCALARS[field.message_type.fields_by_name["key"].type]
        return {f"map<{key},{value}>" for value in types_of(codec.value_of_map(field))}
    label = "repeated " if field.is_repeated else ""
    if field.message_type is None:
        return {label + _SCALARS[field.type]}
    names = CALLED.get(field.message_type.full_name) or (shown(field.message_type),)
    return {label + name for name in names}


@cache
def messages() -> tuple[Descriptor, ...]:
    """Every message that an object of a kind can hold, and the objects."""
    seen: dict[str, Descriptor] = {}

    def visit(descriptor: Descriptor) -> None:
        if descriptor.full_name in seen:
            return
        seen[descriptor.full_name] = descriptor
        for field in descriptor.fields:
            if codec.is_map(field):
                field = codec.value_of_map(field)
            if field.message_type is not None:
                visit(field.message_type)

    for kind in kinds.every():
        visit(kind.message.DESCRIPTOR)
        visit(kind.list_message.DESCRIPTOR)
        for message in kind.message.DESCRIPTOR.file.message_types_by_name.values():
            if not OURS.search(message.full_name.removeprefix("steersman.")):
                visit(message)
    return tuple(seen[name] for name in sorted(seen))


@pytest.mark.parametrize("descriptor", messages(), ids=lambda descriptor: descriptor.full_name)
def test_every_field_is_there_under_its_number(descriptor: Descriptor) -> None:
    theirs = published().get(shown(descriptor))
    assert theirs is not None, f"Kubernetes publishes no {shown(descriptor)}"
    if descriptor.full_name in CALLED:
        assert {field.number for field in descriptor.fields} == set(theirs)
        return
    ours = {field.number: field for field in descriptor.fields}
    assert sorted(ours) == sorted(theirs), "fields are missing, or are not Kubernetes'"
    for number, field in ours.items():
        name, kind = theirs[number]
        assert kind in types_of(field), f"{field.full_name} is {types_of(field)}, there it is {kind}"
        if not codec.is_inline(field):
            assert NAMED.get(field.full_name, field.json_name) == name, f"{field.full_name} is called {name} there"


def _field(message: DescriptorProto, number: int, name: str, kind: str) -> None:
    repeated = kind.startswith("repeated ")
    kind = kind.removeprefix("repeated ")
    label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
    made = message.field.add(name=name, number=number, label=label, json_name=name)
    if kind.startswith("map<"):
        key, _, value = kind[4:-1].partition(",")
        entry = message.nested_type.add(name="".join(part[:1].upper() + part[1:] for part in name.split("_")) + "Entry")
        entry.options.map_entry = True
        _field(entry, 1, "key", key)
        _field(entry, 2, "value", value)
        made.label, made.type = FieldDescriptorProto.LABEL_REPEATED, FieldDescriptorProto.TYPE_MESSAGE
        made.type_name = f"{entry.name}"
    elif kind in _SCALARS.values():
        made.type = next(number for number, text in _SCALARS.items() if text == kind)  # type: ignore[assignment]
    else:
        made.type, made.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".k8s.{kind}"


@cache
def schema() -> descriptor_pool.DescriptorPool:
    """Kubernetes' messages, built from the listing, as the compiler would from its sources (which are proto2)."""
    pool = descriptor_pool.DescriptorPool()
    # All of it in one file: packages there refer to each other in circles that no set of files could have.
    file = FileDescriptorProto(name="k8s.proto", package="k8s", syntax="proto2")
    packages: dict[str, DescriptorProto] = {}
    for full_name, fields in published().items():
        *outer, name = full_name.split(".")
        at: Any = file.message_type
        path = ""
        for part in outer:
            path = f"{path}.{part}"
            if path not in packages:
                packages[path] = at.add(name=part)
            at = packages[path].nested_type
        message = at.add(name=name)
        for number, (field, kind) in fields.items():
            _field(message, number, field, kind)
    for message in [*packages.values()]:
        for inner in message.nested_type:
            for field in inner.field:
                if field.type_name and not field.type_name.startswith("."):
                    entry = field.type_name
                    where = next(path for path, each in packages.items() if each is message)
                    field.type_name = f".k8s{where}.{inner.name}.{entry}"
    pool.Add(file)
    return pool


def theirs_of(descriptor: Descriptor) -> Message:
    found = schema().FindMessageTypeByName(f"k8s.{shown(descriptor)}")
    return message_factory.GetMessageClass(found)()


def unknown(message: Message) -> list[str]:
    """Fields of the bytes that a message does not know, at any depth."""
    name = message.DESCRIPTOR.full_name
    found = [f"{name}: {each.field_number}" for each in unknown_fields.UnknownFieldSet(message)]
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                found += [each for item in value.values() for each in unknown(item)]
        else:
            found += [each for item in (value if field.is_repeated else [value]) for each in unknown(item)]
    return found


def exchanged(ours: Message) -> Message:
    """A message of ours after it went through Kubernetes' schema as bytes, and back."""
    theirs = theirs_of(ours.DESCRIPTOR)
    theirs.MergeFromString(ours.SerializeToString())
    assert unknown(theirs) == []
    back = type(ours)()
    back.MergeFromString(theirs.SerializeToString())
    assert unknown(back) == []
    return back


@pytest.mark.parametrize("document", manifests.documents(), ids=manifests.label)
def test_manifests_cross_over_and_come_back(document: dict[str, Any]) -> None:
    obj = codec.decode_object(document)
    assert exchanged(obj) == obj


def filled(message: Any, depth: int = 0) -> Any:
    """A message with a value in every field, as deep as it is wide."""
    samples: dict[str, Any] = {"bool": True, "bytes": b"\x00\xff", "double": 0.5, "string": "\u03c0"}
    samples |= {"int32": -(2**31), "int64": 2**63 - 1, "uint32": 2**32 - 1, "uint64": 2**64 - 1}
    for field in message.DESCRIPTOR.fields:
        if codec.is_map(field):
            value = codec.value_of_map(field)
            if value.message_type is not None:
                filled(getattr(message, field.name)["key"], depth + 1)
            else:
                getattr(message, field.name)["key"] = samples[_SCALARS[value.type]]
        elif field.message_type is not None:
            inner = getattr(message, field.name)
            if depth < 2:
                filled(inner.add() if field.is_repeated else inner, depth + 1)
            elif not field.is_repeated:
                inner.SetInParent()
        elif field.is_repeated:
            getattr(message, field.name).extend([samples[_SCALARS[field.type]]] * 2)
        else:
            setattr(message, field.name, samples[_SCALARS[field.type]])
    return message


@pytest.mark.parametrize("descriptor", messages(), ids=lambda descriptor: descriptor.full_name)
def test_every_field_crosses_over_and_comes_back(descriptor: Descriptor) -> None:
    message = filled(message_factory.GetMessageClass(descriptor)())
    assert exchanged(message) == message


def test_another_number_would_be_seen() -> None:
    pod: Any = codec.decode_object(manifests.of("v1", "Pod"))
    theirs = theirs_of(kinds.by_api("v1", "Service").message.DESCRIPTOR)
    theirs.MergeFromString(pod.SerializeToString())
    assert unknown(theirs)
