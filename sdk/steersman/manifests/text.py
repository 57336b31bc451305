"""YAML and JSON text to plain data, with the line on which every value stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from steersman.manifests.codec import Path

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Values that would come out as dates stay strings: no field of a manifest is a YAML date.
_STRING_TAGS = frozenset({"tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp"})
_COLLECTION_TAGS = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
_NESTING_MAX = 200
_NODES_MAX = 1_000_000


class SyntaxProblem(ValueError):
    """The text is not YAML.

    Attributes:
        line: where, counted from 1.
        reason: why, in words.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


@dataclass
class Document:
    """One document of a text.

    Attributes:
        data: its content as plain data.
        line: line on which it begins, from 1.
        lines: the line of each value, by path.
    """

    data: Any
    line: int
    lines: dict[Path, int] = field(default_factory=dict)

    def line_of(self, path: Path) -> int:
        """The line of the value at a path, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, self.line)


def documents(text: str) -> Iterator[Document]:
    """Yields the documents of a YAML (or JSON) text; empty ones are left out.

    Raises:
        SyntaxProblem: the text is not YAML, a key stands twice in a mapping, or it nests too deep.
    """
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            document = Document(data=None, line=node.start_mark.line + 1)
            document.data = _Builder(loader, document).build(node, (), 0)
            if document.data is not None:
                yield document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "not YAML"
        raise SyntaxProblem(mark.line + 1 if mark else 1, reason) from error
    except yaml.YAMLError as error:
        line = 1
        position = getattr(error, "position", None)
        if isinstance(position, int):
            line = text.count("\n", 0, position) + 1
        raise SyntaxProblem(line, str(error).splitlines()[0]) from error
    finally:
        loader.dispose()


class _Builder:
    def __init__(self, loader: Any, document: Document) -> None:
        self._loader = loader
        self._lines = document.lines
        self._count = 0

    def build(self, node: Any, path: Path, depth: int) -> Any:
        line = node.start_mark.line + 1
        self._lines[path] = line
        self._count += 1
        if depth > _NESTING_MAX:
            raise SyntaxProblem(line, f"nested deeper than {_NESTING_MAX} levels")
        if self._count > _NODES_MAX:
            # Aliases of aliases can stand for more values than any memory holds.
            raise SyntaxProblem(line, f"more than {_NODES_MAX} values")
        if isinstance(node, yaml.CollectionNode) and node.tag not in _COLLECTION_TAGS:
            raise SyntaxProblem(line, f"unknown tag {node.tag!r}")
        if isinstance(node, yaml.ScalarNode):
            if node.tag in _STRING_TAGS:
                return node.value
            try:
                return self._loader.construct_object(node, deep=True)
            except (ValueError, OverflowError) as error:
                raise SyntaxProblem(line, f"not a value: {error}") from error
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        mapping: dict[Any, Any] = {}
        self._loader.flatten_mapping(node)
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise SyntaxProblem(key_node.start_mark.line + 1, "a key must be a scalar")
            key = self.build(key_node, path, depth + 1)
            if key in mapping:
                raise SyntaxProblem(key_node.start_mark.line + 1, f"the key {key!r} stands twice in one mapping")
            mapping[key] = self.build(value_node, (*path, str(key)), depth + 1)
            self._lines[(*path, str(key))] = key_node.start_mark.line + 1
        self._lines[path] = line
        return mapping
