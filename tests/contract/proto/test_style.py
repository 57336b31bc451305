"""Every source below proto/steersman says what it means, in the same style.

The sources are compiled here with their comments; each test collects everything that breaks its rule, so that one run
shows all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from grpc_tools import protoc
from steersman.meta.v1 import annotations_pb2

ROOT = Path(__file__).resolve().parents[3]
PROTO = ROOT / "proto"
SOURCES = sorted(str(path.relative_to(PROTO)) for path in (PROTO / "steersman").rglob("*.proto"))

LINE_CHARACTERS_MAX = 120

CAMEL = re.compile(r"[A-Z][A-Za-z0-9]*")
SNAKE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
UPPER_SNAKE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
ACRONYM = re.compile(r"^[A-Z]|[A-Z]{2}")

# Kubernetes' names that are reserved words of programming languages, so that the field has another.
RENAMED = {
    "steersman.meta.v1.ListMeta.continue_token": "continue",
    "steersman.networking.v1.IPBlock.except_cidrs": "except",
    "steersman.networking.v1.NetworkPolicyIngressRule.from_peers": "from",
}

# How a comment says what a second call does, and who may call. "As X" and "As for X" leave it to another rpc.
REPEATED = re.compile(r"[Ii]dempotent|Reads only|^As ")
CALLERS = re.compile(r"\bFor (?:the|whoever|everybody|everyone|those|any|who)\b|^As ")

# Kinds whose plural is the name of the kind, so that the service has another.
SERVICES = {"EndpointsApi": "endpoints"}


@dataclass(frozen=True)
class Element:
    """Something with a name in a source.

    Attributes:
        kind: "message", "field", "enum", "value", "service" or "rpc".
        full_name: package, outer names and its own.
        descriptor: what the compiler says of it.
        comment: the comment above it; "" when there is none.
    """

    kind: str
    full_name: str
    descriptor: object
    comment: str

    @property
    def name(self) -> str:
        """The last part of the full name."""
        return self.full_name.rpartition(".")[2]


class _Reader:
    """Goes through a compiled source, from the outside to the inside."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file
        self._comments = {tuple(at.path): at.leading_comments.strip() for at in file.source_code_info.location}

    def elements(self) -> Iterator[Element]:
        outside, number = self._file.package, FileDescriptorProto
        for index, message in enumerate(self._file.message_type):
            yield from self._message(message, outside, (number.MESSAGE_TYPE_FIELD_NUMBER, index))
        for index, enum in enumerate(self._file.enum_type):
            yield from self._enum(enum, outside, (number.ENUM_TYPE_FIELD_NUMBER, index))
        for index, field in enumerate(self._file.extension):
            yield self._element("field", outside, field, (number.EXTENSION_FIELD_NUMBER, index))
        for index, service in enumerate(self._file.service):
            yield from self._service(service, outside, (number.SERVICE_FIELD_NUMBER, index))

    def _element(self, kind: str, outside: str, descriptor: object, path: tuple[int, ...]) -> Element:
        name = str(getattr(descriptor, "name", ""))
        return Element(kind, f"{outside}.{name}", descriptor, self._comments.get(path, ""))

    def _message(self, message: DescriptorProto, outside: str, path: tuple[int, ...]) -> Iterator[Element]:
        if message.options.map_entry:
            return
        this = self._element("message", outside, message, path)
        yield this
        for index, field in enumerate(message.field):
            yield self._element("field", this.full_name, field, (*path, DescriptorProto.FIELD_FIELD_NUMBER, index))
        for index, inner in enumerate(message.nested_type):
            yield from self._message(inner, this.full_name, (*path, DescriptorProto.NESTED_TYPE_FIELD_NUMBER, index))
        for index, enum in enumerate(message.enum_type):
            yield from self._enum(enum, this.full_name, (*path, DescriptorProto.ENUM_TYPE_FIELD_NUMBER, index))

    def _enum(self, enum: EnumDescriptorProto, outside: str, path: tuple[int, ...]) -> Iterator[Element]:
        this = self._element("enum", outside, enum, path)
        yield this
        for index, value in enumerate(enum.value):
            yield self._element("value", this.full_name, value, (*path, EnumDescriptorProto.VALUE_FIELD_NUMBER, index))

    def _service(self, service: ServiceDescriptorProto, outside: str, path: tuple[int, ...]) -> Iterator[Element]:
        this = self._element("service", outside, service, path)
        yield this
        for index, rpc in enumerate(service.method):
            yield self._element("rpc", this.full_name, rpc, (*path, ServiceDescriptorProto.METHOD_FIELD_NUMBER, index))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[FileDescriptorProto]:
    """The sources below proto/steersman, compiled, with their comments."""
    output = tmp_path_factory.mktemp("proto") / "all.pb"
    include = Path(protoc.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{PROTO}", f"-I{include}", "--include_source_info", f"--descriptor_set_out={output}"]
    assert protoc.main([*arguments, *SOURCES]) == 0, "the compiler refused a source (see above)"
    return list(FileDescriptorSet.FromString(output.read_bytes()).file)


@pytest.fixture(scope="module")
def elements(files: list[FileDescriptorProto]) -> list[Element]:
    """Everything that has a name."""
    return [element for file in files for element in _Reader(file).elements()]


def test_every_source_is_read(files: list[FileDescriptorProto], elements: list[Element]) -> None:
    assert [file.name for file in files if file.name not in SOURCES] == []
    assert {element.kind for element in elements} == {"message", "field", "enum", "value", "service", "rpc"}


def test_everything_has_a_comment(elements: list[Element]) -> None:
    silent = [f"{element.kind} {element.full_name}" for element in elements if not element.comment]
    assert not silent, "\n".join(silent)


def test_comments_are_sentences(elements: list[Element]) -> None:
    unended = [
        f"{element.full_name}: {element.comment}"
        for element in elements
        if element.comment and element.comment[-1] not in ".)?"
    ]
    assert not unended, "\n".join(unended)


def test_every_rpc_says_what_a_second_call_does_and_who_may_call(elements: list[Element]) -> None:
    rpcs = [element for element in elements if element.kind == "rpc"]
    silent = [
        f"{rpc.full_name}: {what}"
        for rpc in rpcs
        for what, words in (("what a second call does", REPEATED), ("who may call it", CALLERS))
        if not words.search(" ".join(rpc.comment.split()))
    ]
    assert not silent, "\n".join(silent)


def test_lines_are_short() -> None:
    long = [
        f"{source}:{number}"
        for source in SOURCES
        for number, line in enumerate((PROTO / source).read_text().splitlines(), 1)
        if len(line) > LINE_CHARACTERS_MAX
    ]
    assert not long, "\n".join(long)


def test_the_package_is_the_path(files: list[FileDescriptorProto]) -> None:
    astray = [file.name for file in files if file.package != ".".join(Path(file.name).parent.parts)]
    assert not astray, "\n".join(astray)


def test_names_are_in_their_case(elements: list[Element]) -> None:
    cases = {"field": SNAKE, "value": UPPER_SNAKE}
    wrong = [
        f"{element.kind} {element.full_name}"
        for element in elements
        if not cases.get(element.kind, CAMEL).fullmatch(element.name)
    ]
    wrong += [source for source in SOURCES if not SNAKE.fullmatch(Path(source).stem)]
    assert not wrong, "\n".join(wrong)


def test_enums_begin_with_a_value_that_says_nothing(files: list[FileDescriptorProto]) -> None:
    wrong = [
        f"{file.package}.{enum.name}: {enum.value[0].name} = {enum.value[0].number}"
        for file in files
        for enum in file.enum_type
        if enum.value[0].number != 0 or not enum.value[0].name.endswith("_UNSPECIFIED")
    ]
    assert not wrong, "\n".join(wrong)


def test_every_source_is_about_one_kind(files: list[FileDescriptorProto]) -> None:
    crowded = [file.name for file in files if len(file.service) > 1]
    misnamed = [
        f"{file.name}: {service.name}"
        for file in files
        for service in file.service
        if service.options.HasExtension(annotations_pb2.resource)  # type: ignore[arg-type]
        and Path(file.name).stem.replace("_", "") not in _kind_of(service).lower()
    ]
    assert not crowded + misnamed, "\n".join(crowded + misnamed)


def _kind_of(service: ServiceDescriptorProto) -> str:
    return str(service.options.Extensions[annotations_pb2.resource].kind)  # type: ignore[index]


def _default_json_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def test_json_names_differ_only_for_acronyms(elements: list[Element]) -> None:
    strange = []
    for element in elements:
        field = element.descriptor
        if not isinstance(field, FieldDescriptorProto) or not field.json_name or field.extendee:
            continue
        if field.json_name == _default_json_name(field.name):
            continue
        same_letters = field.json_name.lower() == field.name.replace("_", "")
        acronym = same_letters and ACRONYM.search(field.json_name)
        if not acronym and RENAMED.get(element.full_name) != field.json_name:
            strange.append(f"{element.full_name}: {field.json_name}")
    assert not strange, "\n".join(strange)


Kind = tuple[FileDescriptorProto, ServiceDescriptorProto, annotations_pb2.Resource]


def _kinds(files: list[FileDescriptorProto]) -> Iterator[Kind]:
    option: Any = annotations_pb2.resource
    for file in files:
        for service in file.service:
            if service.options.HasExtension(option):
                yield file, service, service.options.Extensions[option]


def _shape_of_verbs(package: str, kind: str) -> dict[str, tuple[str, str, bool]]:
    """(request, response, whether responses are a stream) of each standard verb, without UpdateStatus."""
    meta = ".steersman.meta.v1."
    this, several = f".{package}.{kind}", f".{package}.{kind}List"
    write, event = f"{this}WriteRequest", f"{this}WatchEvent"
    return {
        "Get": (f"{meta}GetRequest", this, False),
        "List": (f"{meta}ListRequest", several, False),
        "Watch": (f"{meta}WatchRequest", event, True),
        "Create": (write, this, False),
        "Update": (write, this, False),
        "Patch": (f"{meta}PatchRequest", this, False),
        "Apply": (write, this, False),
        "Delete": (f"{meta}DeleteRequest", this, False),
        "DeleteCollection": (f"{meta}DeleteCollectionRequest", several, False),
    }


def test_every_kind_has_the_standard_verbs(files: list[FileDescriptorProto]) -> None:
    wrong = []
    seen = 0
    for file, service, resource in _kinds(files):
        seen += 1
        kind = resource.kind
        wanted = _shape_of_verbs(file.package, kind)
        message = next((each for each in file.message_type if each.name == kind), None)
        assert message is not None, f"{file.name} has no message {kind}"
        if any(field.name == "status" for field in message.field):
            wanted["UpdateStatus"] = wanted["Update"]
        found = {rpc.name: (rpc.input_type, rpc.output_type, rpc.server_streaming) for rpc in service.method}
        for verb, shape in wanted.items():
            if found.get(verb) != shape:
                wrong.append(f"{file.package}.{service.name}/{verb}: {found.get(verb)}, not {shape}")
        if "UpdateStatus" in found and "UpdateStatus" not in wanted:
            wrong.append(f"{file.package}.{service.name}/UpdateStatus: {kind} has no status")
    assert not wrong, "\n".join(wrong)
    assert seen > 0


def test_every_kind_says_what_it_is(files: list[FileDescriptorProto]) -> None:
    wrong = []
    for file, service, resource in _kinds(files):
        version = file.package.rpartition(".")[2]
        group = file.package.split(".")[1]
        if resource.version != version:
            wrong.append(f"{service.name}: version {resource.version!r} in package {file.package}")
        if (resource.group.partition(".")[0] or "core") != group:
            wrong.append(f"{service.name}: group {resource.group!r} in package {file.package}")
        if resource.plural != SERVICES.get(service.name, service.name.lower()):
            wrong.append(f"{service.name}: plural {resource.plural!r}")
        if resource.singular != resource.kind.lower():
            wrong.append(f"{service.name}: singular {resource.singular!r} of kind {resource.kind}")
    assert not wrong, "\n".join(wrong)
