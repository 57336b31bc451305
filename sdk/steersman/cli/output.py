"""Writing objects: aligned tables, YAML, JSON, names."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from steersman import kinds
from steersman.manifests import codec, files

FORMATS = ("wide", "yaml", "json", "name")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, head: bool = True) -> str:
    """Rows in aligned columns, three spaces apart, without spaces at the ends of lines."""
    everything = [list(headings), *map(list, rows)] if head else [list(row) for row in rows]
    if not everything:
        return ""
    widths = [max(len(row[i]) for row in everything) for i in range(len(everything[0]))]
    lines = ("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in everything)
    return "\n".join(line.rstrip() for line in lines)


def tidy(obj: Any) -> dict[str, Any]:
    """An object as plain data, without the bookkeeping that nobody reads."""
    data = codec.encode_object(obj)
    data.get("metadata", {}).pop("managedFields", None)
    return data


def full_name(obj: Any) -> str:
    """An object as `-o name` writes it: "deployment.apps/web"."""
    kind = kinds.of(obj)
    group = f".{kind.group}" if kind.group else ""
    return f"{kind.singular}{group}/{obj.metadata.name}"


def documents(objects: Sequence[Any], fmt: str, *, as_list: bool) -> str:
    """Objects as YAML or JSON: one by itself, several as a List."""
    data = [tidy(obj) for obj in objects]
    document: Any = {"apiVersion": "v1", "kind": "List", "items": data} if as_list else data[0]
    if fmt == "json":
        return json.dumps(document, indent=2, ensure_ascii=False)
    return files.yaml_of([document]).rstrip("\n")


def write(text: str) -> None:
    """Writes a text and a line's end to standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
