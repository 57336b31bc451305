"""What gets lost on the way from a manifest to a message and back."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

from google.protobuf.message import Message
from steersman.manifests import codec


def way_and_back(document: dict[str, Any]) -> tuple[Message, dict[str, Any]]:
    """The message of a manifest, and the manifest of that message's bytes."""
    obj = codec.decode_object(document)
    again = type(obj).FromString(obj.SerializeToString())
    assert again == obj
    return obj, codec.encode_object(again)


def lost(before: Any, after: Any, path: str = "") -> list[str]:
    """Where two manifests say different things; what stands for nothing (null, empty) may come and go."""
    if isinstance(before, dict) and isinstance(after, dict):
        before = {str(name).lower() if isinstance(name, bool) else str(name): each for name, each in before.items()}
        found: list[str] = []
        for name in {**before, **after}:
            was, now = before.get(name), after.get(name)
            if name in before and name in after:
                found += lost(was, now, f"{path}.{name}")
            elif name in ("apiVersion", "kind") and path.endswith("]"):
                # An object inside another may say its kind, which is known anyway.
                continue
            elif any(value not in (None, "", [], 0, False) for value in (was, now)):
                found.append(f"{path}.{name}: {was!r} became {now!r}")
        return found
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            each
            for index, pair in enumerate(zip(before, after, strict=True))
            for each in lost(*pair, f"{path}[{index}]")
        ]
    return [] if _same(before, after) else [f"{path}: {before!r} became {after!r}"]


def _same(before: Any, after: Any) -> bool:
    if before == after and isinstance(before, bool) == isinstance(after, bool):
        return True
    if before is None:
        return after in ("", 0, False, [], {})
    if isinstance(before, (int, float)) and isinstance(after, str):
        return str(before) == after
    if isinstance(before, str) and isinstance(after, str):
        return (_moment(before) is not None and _moment(before) == _moment(after)) or _bytes(before) == after
    return False


def _moment(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _bytes(value: str) -> str | None:
    try:
        return base64.b64encode(base64.b64decode("".join(value.split()), validate=True)).decode()
    except (binascii.Error, ValueError):
        return None
