"""Manifests that others wrote: every object of a served kind goes to bytes and back and is accepted, but for a few.

STEERSMAN_MANIFESTS names folders (separated by ':'), each a checkout of a public collection such as
kubernetes/examples; without it there is nothing to do. `tests/manifests/refused.txt` lists what is refused, and why.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from steersman import kinds
from steersman.manifests import codec, files, text

from tests.apiserver.kinds.table import prepared, violations
from tests.manifests import FOLDER
from tests.manifests.loss import lost, way_and_back

PLACES = [Path(place) for place in os.environ.get("STEERSMAN_MANIFESTS", "").split(os.pathsep) if place]

pytestmark = pytest.mark.long


def expected() -> list[tuple[str, str]]:
    lines = (FOLDER / "refused.txt").read_text().splitlines()
    rows = [line.partition(" | ") for line in lines if line and not line.startswith("#")]
    return [(path, words) for path, _, words in rows]


def sources(place: Path) -> Iterator[Path]:
    """The manifests of a collection; what a folder named `templates` holds is made into manifests by Helm first."""
    for path in sorted(place.rglob("*")):
        if path.suffix in files.SUFFIXES and path.is_file() and "templates" not in path.parts:
            yield path


def objects(path: Path) -> Iterator[dict[str, Any]]:
    """The objects in a file that are of a kind that is served, in its current version."""
    for document in text.documents(path.read_text()):
        data = document.data
        items = data.get("items") if isinstance(data, dict) and data.get("kind") == "List" else [data]
        for item in items or ():
            if not isinstance(item, dict):
                continue
            try:
                kinds.by_api(str(item.get("apiVersion")), str(item.get("kind")))
            except kinds.UnknownKindError:
                continue
            yield item


def problems(path: Path) -> Iterator[str]:
    """Everything wrong with the objects of a file."""
    try:
        for data in objects(path):
            try:
                obj, again = way_and_back(data)
            except codec.DecodeError as error:
                yield str(error)
                continue
            assert lost(data, again) == [], path
            obj.metadata.name = obj.metadata.name or obj.metadata.generate_name + "x"
            yield from map(str, violations(prepared(obj)))
    except text.SyntaxProblem as error:
        yield f"not YAML: {error.reason}"


@pytest.mark.skipif(not PLACES, reason="STEERSMAN_MANIFESTS names no folder")
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_what_others_wrote(place: Path) -> None:
    known = expected()
    unexpected = []
    seen = 0
    for path in sources(place):
        relative = path.relative_to(place).as_posix()
        words = [reason for where, reason in known if where == relative]
        found = list(problems(path))
        seen += 1
        if bool(found) != bool(words) or any(not any(word in each for each in found) for word in words):
            unexpected += [f"{relative}: {each}" for each in found or ["is accepted"]]
    assert seen, f"{place} holds no manifest"
    assert not unexpected, "\n".join(unexpected)
