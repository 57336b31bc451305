"""Defaults of Secrets."""

from __future__ import annotations

from typing import Any


def secret(obj: Any) -> None:
    """Names the type, and turns stringData into data."""
    obj.type = obj.type or "Opaque"
    for name, text in obj.string_data.items():
        obj.data[name] = text.encode()
    obj.ClearField("string_data")
