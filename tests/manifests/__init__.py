"""Manifests of every kind, for tests, as plain data."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

from steersman.manifests import text

FOLDER = Path(__file__).resolve().parent


@functools.cache
def _all() -> tuple[dict[str, Any], ...]:
    texts = [path.read_text() for path in sorted(FOLDER.glob("*.yaml"))]
    return tuple(document.data for content in texts for document in text.documents(content))


def documents() -> list[dict[str, Any]]:
    """All of them, each a copy of its own."""
    return copy.deepcopy(list(_all()))


def of(api_version: str, kind: str) -> dict[str, Any]:
    """The first one of a kind, a copy of its own."""
    return next(each for each in documents() if (each["apiVersion"], each["kind"]) == (api_version, kind))


def label(document: dict[str, Any]) -> str:
    """Kind and name, for the names of tests."""
    return f"{document['apiVersion']}/{document['kind']}/{document['metadata']['name']}"
