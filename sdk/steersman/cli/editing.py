"""The text in which an object is edited: its notes on what went wrong, and what was made of it. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from steersman.cli.failures import CommandError

MARK = "#"
HEAD = (
    "Change the object below, save, and close the editor. Lines that begin with '#' are not read,",
    "and an empty file changes nothing. When something is wrong with it, this opens again and says so.",
)


def text_of(data: dict[str, Any], fmt: str) -> str:
    """An object (as plain data) as YAML or JSON."""
    from steersman.manifests import files

    return json.dumps(data, indent=2, ensure_ascii=False) + "\n" if fmt == "json" else files.yaml_of([data])


def annotated(text: str, problems: Sequence[str] = ()) -> str:
    """A text with the notes in front that a person needs."""
    lines = [*HEAD, *([""] if problems else []), *(line for problem in problems for line in problem.splitlines())]
    return "".join(f"{MARK} {line}".rstrip() + "\n" for line in lines) + text


def without_notes(text: str) -> str:
    """The text without the notes in front of it."""
    lines = text.splitlines(keepends=True)
    while lines and lines[0].startswith(MARK):
        lines.pop(0)
    return "".join(lines)


def read(text: str, original: dict[str, Any]) -> dict[str, Any] | None:
    """What was made of an object, as plain data; None when nothing is left.

    Raises:
        CommandError: it cannot be read, or is another object now.
        ManifestError: it is no object of its kind.
    """
    from steersman.manifests import codec, files

    if not "".join(line for line in text.splitlines() if not line.lstrip().startswith(MARK)).strip():
        return None
    found = files.parse(text, "the edited text")
    if len(found) != 1:
        raise CommandError(f"one object was to be edited, and there are {len(found)} now")
    data = codec.encode_object(found[0].obj)
    for path in (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")):
        before, after = _at(original, path), _at(data, path)
        if before != after:
            raise CommandError(f"{'.'.join(path)} may not change: it was {before!r} and is {after!r}")
    return data


def _at(data: Any, path: Sequence[str]) -> Any:
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data
