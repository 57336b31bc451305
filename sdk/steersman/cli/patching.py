"""Merge patches (RFC 7386) of plain data: applying one, making one, and what it would overwrite. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Path = tuple[str, ...]
_NOTHING = object()


def merged(before: Any, patch: Any) -> Any:
    """What a merge patch makes of plain data: null removes, mappings merge, everything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    after = dict(before) if isinstance(before, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = merged(after.get(name), value)
    return after


def between(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that makes `after` of `before`; empty when they are the same."""
    patch: dict[str, Any] = {name: None for name in before if name not in after}
    for name, value in after.items():
        old = before.get(name, _NOTHING)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            inner = between(old, value)
            if inner:
                patch[name] = inner
        elif old != value:
            patch[name] = value
    return patch


def overwritten(patch: Mapping[str, Any], before: Any, now: Any, path: Path = ()) -> list[Path]:
    """The places that a patch, made for `before`, writes to, and that others have changed since to what is `now`."""
    found: list[Path] = []
    for name, value in patch.items():
        old, current = _get(before, name), _get(now, name)
        if isinstance(value, Mapping) and isinstance(old, Mapping) and isinstance(current, Mapping):
            found += overwritten(value, old, current, (*path, name))
        elif old != current and current != value and not (value is None and current is _NOTHING):
            found.append((*path, name))
    return found


def _get(data: Any, name: str) -> Any:
    return data.get(name, _NOTHING) if isinstance(data, Mapping) else _NOTHING
