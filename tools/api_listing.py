"""Lists what proto/ promises: messages with their fields, enums with their values, services with their rpcs.

    python tools/api_listing.py         show what is not as it was in the last release
    python tools/api_listing.py write   make the present state the one that is promised: part of a release

The listing of the last release is `proto/released.txt`. What stands there may not be taken away, renumbered, renamed or
given another type: programs in many languages were generated from it. A test holds proto/ to that; what is new may be
changed until it is released.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
RELEASED = PROTO / "released.txt"
HEADER = (
    "# What the API promised when it was released last. Written by `./dev freeze`; a test refuses to take it back.\n"
    "# Fields: number, name, type, and the name in JSON where it is not made of the name.\n"
    "# Values: number, name. Rpcs: name, request, response.\n"
)

Listing = dict[str, list[str]]
"""Headings ("message steersman.core.v1.Pod") with their lines."""


def compiled(proto: Path = PROTO) -> FileDescriptorSet:
    """The sources below `proto/steersman`, compiled.

    Raises:
        SystemExit: the compiler refused one; it has said which.
    """
    import tempfile

    from grpc_tools import protoc

    sources = sorted(str(path.relative_to(proto)) for path in (proto / "steersman").rglob("*.proto"))
    include = Path(protoc.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "all.pb"
        if protoc.main(["protoc", f"-I{proto}", f"-I{include}", f"--descriptor_set_out={output}", *sources]) != 0:
            raise SystemExit("the protobuf compiler refused a source (see above)")
        return FileDescriptorSet.FromString(output.read_bytes())


def listing(files: FileDescriptorSet) -> Listing:
    """What a set of files promises."""
    found: Listing = {}
    for file in files.file:
        for message in file.message_type:
            found.update(_message(file.package, message))
        for enum in file.enum_type:
            found.update(_enum(file.package, enum))
        for service in file.service:
            found.update(_service(file.package, service))
        for extension in file.extension:
            where = f"extension {extension.extendee.lstrip('.')}"
            found.setdefault(where, []).append(_field(extension, {}))
    return {heading: found[heading] for heading in sorted(found)}


def _message(outside: str, message: DescriptorProto) -> Iterator[tuple[str, list[str]]]:
    this = f"{outside}.{message.name}"
    entries = {f".{this}.{inner.name}": inner for inner in message.nested_type if inner.options.map_entry}
    fields = sorted(message.field, key=lambda field: field.number)
    yield f"message {this}", [_field(field, entries) for field in fields]
    for inner in message.nested_type:
        if not inner.options.map_entry:
            yield from _message(this, inner)
    for enum in message.enum_type:
        yield from _enum(this, enum)


def _type(field: FieldDescriptorProto) -> str:
    name = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    return field.type_name.lstrip(".") or name


def _field(field: FieldDescriptorProto, entries: dict[str, DescriptorProto]) -> str:
    if field.type_name in entries:
        key, value = entries[field.type_name].field
        kind = f"map<{_type(key)},{_type(value)}>"
    else:
        repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
        in_choice = field.HasField("oneof_index") and not field.proto3_optional
        label = "repeated " if repeated else "optional " if field.proto3_optional else "oneof " if in_choice else ""
        kind = label + _type(field)
    first, *rest = field.name.split("_")
    expected = first + "".join(part[:1].upper() + part[1:] for part in rest)
    return f"{field.number} {field.name} {kind}" + (f" {field.json_name}" if field.json_name != expected else "")


def _enum(outside: str, enum: EnumDescriptorProto) -> Iterator[tuple[str, list[str]]]:
    yield f"enum {outside}.{enum.name}", [f"{value.number} {value.name}" for value in enum.value]


def _service(outside: str, service: ServiceDescriptorProto) -> Iterator[tuple[str, list[str]]]:
    lines = []
    for rpc in sorted(service.method, key=lambda rpc: rpc.name):
        asked = ("stream " if rpc.client_streaming else "") + rpc.input_type.lstrip(".")
        answered = ("stream " if rpc.server_streaming else "") + rpc.output_type.lstrip(".")
        lines.append(f"{rpc.name} ({asked}) returns ({answered})")
    yield f"service {outside}.{service.name}", lines


def read(text: str) -> Listing:
    """A listing as `write` writes it."""
    found: Listing = {}
    heading = ""
    for line in text.splitlines():
        if line.startswith("#") or not line:
            continue
        if line.startswith("  "):
            found[heading].append(line.strip())
        else:
            heading = line
            found[heading] = []
    return found


def show(listed: Listing) -> str:
    """A listing as text."""
    return HEADER + "".join(f"{heading}\n" + "".join(f"  {line}\n" for line in listed[heading]) for heading in listed)


def broken(promised: Listing, present: Listing) -> list[str]:
    """What was promised and is not there any more."""
    found: list[str] = []
    for heading, lines in promised.items():
        if heading not in present:
            found.append(heading)
        else:
            found += [f"{heading}: {line}" for line in lines if line not in present[heading]]
    return found


def main() -> None:
    """Shows what is broken, or writes the listing."""
    present = listing(compiled())
    gone = broken(read(RELEASED.read_text()), present) if RELEASED.exists() else []
    for each in gone:
        print(f"no longer: {each}")
    if sys.argv[1:] == ["write"]:
        RELEASED.write_text(show(present))
        lines = sum(len(each) for each in present.values())
        print(f"{RELEASED.relative_to(ROOT)}: {len(present)} messages, enums and services with {lines} parts")
    elif gone:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
