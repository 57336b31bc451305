"""Whole manifests: files, folders, patterns and standard input to typed objects, with the place of every problem."""

from __future__ import annotations

import glob
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.message import Message

from steersman.manifests import codec, text

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Place:
    """Where something stands: a file (or "standard input") and a line, from 1."""

    source: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}"


class ManifestError(ValueError):
    """Manifests cannot be used.

    Attributes:
        problems: everything that is wrong: where, and what.
    """

    def __init__(self, problems: list[tuple[Place | None, str]]) -> None:
        super().__init__("\n".join(f"{place}: {what}" if place else what for place, what in problems))
        self.problems = problems


@dataclass(frozen=True)
class Manifest:
    """One object and where it stands.

    Attributes:
        obj: the object.
        place: where it begins.
        document: the document that it stands in, or is a part of.
        path: the way to it in the document.
    """

    obj: Any
    place: Place
    document: text.Document | None = field(default=None, repr=False, compare=False)
    path: codec.Path = ()

    def place_of(self, name: str) -> Place:
        """Where a field stands that is named as in errors, "spec.containers[0].image"; or what is around it."""
        if self.document is None:
            return self.place
        return Place(self.place.source, self.document.line_of((*self.path, *codec.read_path(name))))


def read(names: Iterable[str], *, recursive: bool = False) -> list[Manifest]:
    """Reads the objects of files, folders and patterns, in order; "-" is standard input.

    Raises:
        ManifestError: something is wrong with any of them; it lists everything.
    """
    manifests: list[Manifest] = []
    problems: list[tuple[Place | None, str]] = []
    for name in names:
        try:
            for source, content in _sources(name, recursive):
                manifests += parse(content, source)
        except ManifestError as error:
            problems += error.problems
    if problems:
        raise ManifestError(problems)
    return manifests


def parse(content: str, source: str) -> list[Manifest]:
    """The objects of one text; `List` objects are taken apart.

    Raises:
        ManifestError: something is wrong; it lists everything.
    """
    manifests: list[Manifest] = []
    problems: list[tuple[Place | None, str]] = []
    try:
        for document in text.documents(content):
            for data, path in _items(document.data):
                try:
                    obj = codec.decode_object(data)
                except codec.DecodeError as error:
                    problems += [
                        (Place(source, document.line_of((*path, *p.path))), str(codec.Problem(p.path, p.text)))
                        for p in error.problems
                    ]
                else:
                    place = Place(source, document.line_of(path))
                    manifests.append(Manifest(obj, place, document, path))
    except text.SyntaxProblem as error:
        problems.append((Place(source, error.line), f"not YAML: {error.reason}"))
    if problems:
        raise ManifestError(problems)
    return manifests


def _items(data: Any) -> Iterator[tuple[Any, codec.Path]]:
    if isinstance(data, dict) and data.get("kind") == "List" and data.get("apiVersion") == "v1":
        items = data.get("items")
        for index, item in enumerate(items if isinstance(items, list) else []):
            yield item, ("items", index)
    else:
        yield data, ()


def _sources(name: str, recursive: bool) -> Iterator[tuple[str, str]]:
    if name == "-":
        try:
            yield "standard input", sys.stdin.buffer.read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise ManifestError([(None, f"standard input: not UTF-8 text (byte {error.start})")]) from error
        return
    path = Path(name)
    if path.is_dir():
        found = sorted(p for p in (path.rglob("*") if recursive else path.glob("*")) if p.suffix in SUFFIXES)
        if not found:
            raise ManifestError([(None, f"{name}: the folder holds no {', '.join(SUFFIXES)} file")])
    elif path.exists() or not glob.has_magic(name):
        found = [path]
    else:
        found = sorted(map(Path, glob.glob(name, recursive=True)))  # noqa: PTH207 (a pattern may be absolute)
        if not found:
            raise ManifestError([(None, f"{name}: no file matches")])
    for file in found:
        try:
            yield str(file), file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ManifestError([(None, f"{file}: not UTF-8 text (byte {error.start})")]) from error
        except OSError as error:
            raise ManifestError([(None, f"{file}: {error.strerror}")]) from error


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes multi-line strings as blocks, and never aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Whether to repeat a value rather than refer to it: always."""
        return True


def _represent_string(dumper: Any, value: str) -> Any:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _represent_string)


def to_yaml(objects: Iterable[Message]) -> str:
    """Objects as a YAML text of as many documents."""
    return yaml_of(codec.encode_object(obj) for obj in objects)


def yaml_of(documents: Iterable[Any]) -> str:
    """Plain data as a YAML text of as many documents."""
    dumped: str = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return dumped
