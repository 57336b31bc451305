"""Values and decisions know of no network, no tasks and no clock, and take their randomness from outside."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
OUTWARD = {"asyncio", "grpc", "random", "socket", "subprocess", "threading", "time"}
# The service kit and the client belong to the outer rings as well.
OUTWARD_MODULES = {
    "steersman.client",
    "steersman.informer",
    "steersman.service",
    "steersman.recorder",
    "steersman.clock",
}
PURE = {
    "scheduler": [
        *[
            "columns",
            "plugins",
            "configuration",
            "framework",
            "gang_attempts",
            "gangs",
            "ledger",
            "outcomes",
            "pod",
            "queue",
            "reasons",
            "requests",
            "schedule",
        ],
        *["terms", "view", "volumes"],
    ],
    "netproxy": ["compiler", "conntrack", "endpoints", "names", "routes", "rules", "services", "transaction"],
}


def modules() -> Iterator[Path]:
    for service, names in PURE.items():
        for name in names:
            path = ROOT / service / name
            yield from path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]


def imported(path: Path) -> set[str]:
    """What a module imports when it runs; imports for types alone do not count."""
    found: set[str] = set()
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            found.add(statement.module)
    return found


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: str(path.relative_to(ROOT)))
def test_decisions_are_pure(path: Path) -> None:
    names = imported(path)
    assert {name for name in names if name.split(".")[0] in OUTWARD} == set()
    assert {name for name in names if any(name == m or name.startswith(m + ".") for m in OUTWARD_MODULES)} == set()
