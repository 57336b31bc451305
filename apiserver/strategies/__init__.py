"""One file per kind: its strategy. A file put here is found by itself; a kind without one gets the base strategy."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from steersman import kinds
from steersman.kinds import Kind

from apiserver.strategy import Strategy


def discover() -> list[tuple[Kind, Strategy]]:
    """Every served kind with its strategy."""
    found: dict[str, Strategy] = {}
    for module in pkgutil.iter_modules(__path__):
        members = inspect.getmembers(importlib.import_module(f"{__name__}.{module.name}"), inspect.isclass)
        for _, member in members:
            if issubclass(member, Strategy) and member is not Strategy:
                found[kinds.of(member.message).service] = member()
    return [(kind, found.get(kind.service, Strategy())) for kind in kinds.every()]
