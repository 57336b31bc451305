"""How two states of an object differ, as text. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

HIDDEN, BEFORE, AFTER = "***", "*** (before)", "*** (after)"
_COLOURS = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}


def shown(live: dict[str, Any] | None, wanted: dict[str, Any]) -> tuple[str, str]:
    """Two states as YAML: without bookkeeping, and with the values of a Secret hidden.

    Args:
        live: the object as it is; None when it is not there.
        wanted: as it would be.
    """
    from steersman.manifests import files

    before, after = _tidy(live or {}), _tidy(wanted)
    if wanted.get("kind") == "Secret":
        before, after = masked(before, after)
    return files.yaml_of([before]) if live is not None else "", files.yaml_of([after])


def _tidy(data: Mapping[str, Any]) -> dict[str, Any]:
    if "metadata" not in data:
        return dict(data)
    return {**data, "metadata": {key: value for key, value in data["metadata"].items() if key != "managedFields"}}


def masked(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two states of a Secret with hidden values, which still show which of them differ."""
    before, after = dict(before), dict(after)
    for field in ("data", "stringData"):
        old, new = before.get(field, {}), after.get(field, {})
        hidden_old = {key: HIDDEN if new.get(key, value) == value else BEFORE for key, value in old.items()}
        hidden_new = {key: HIDDEN if old.get(key, value) == value else AFTER for key, value in new.items()}
        for state, hidden in ((before, hidden_old), (after, hidden_new)):
            if field in state:
                state[field] = hidden
    return before, after


def unified(name: str, before: str, after: str, *, colour: bool = False) -> Iterator[str]:
    """The lines of a unified diff; none when nothing differs.

    Args:
        name: what differs.
        before: its text as it is.
        after: its text as it would be.
        colour: whether lines are coloured.
    """
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"{name} (live)", f"{name} (merged)", lineterm=""
    )
    for index, line in enumerate(lines):
        start = _COLOURS.get(line[:1], "") if colour else ""
        if colour and index < 2:
            start = "\x1b[1m"
        yield f"{start}{line}\x1b[0m" if start else line
