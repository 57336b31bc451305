"""Rules of kinds as tables: what is changed in a good manifest, and which fields are then refused.

Everything here is pure: a kind's strategy without an apiserver around it, in the order in which the registry calls it.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

from steersman import kinds
from steersman.errors import FieldViolation
from steersman.kinds import Kind
from steersman.manifests import codec
from steersman.validation import meta

from apiserver import strategies
from apiserver.strategy import Strategy
from tests import manifests

GONE = object()
"""Stands for a value that is taken out."""

Changes = dict[str, Any]


@cache
def _strategies() -> dict[str, Strategy]:
    return {kind.service: strategy for kind, strategy in strategies.discover()}


def strategy_of(kind: Kind) -> Strategy:
    """The rules of a kind."""
    strategy: Strategy = _strategies()[kind.service]
    return strategy


def edited(document: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """A manifest with values put in or taken out; paths are names and indexes with '/' between."""
    data: Any = copy.deepcopy(document)
    for path, value in changes.items():
        *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        here = data
        for part in way:
            here = here.setdefault(part, {}) if isinstance(here, dict) else here[part]
        if value is GONE:
            del here[last]
        elif isinstance(here, list) and last == len(here):
            here.append(value)
        else:
            here[last] = value
    return dict(data)


def created(api_version: str, kind: str, changes: Changes | None = None) -> Any:
    """The first manifest of a kind with changes, as it is after the hooks of a create."""
    return prepared(codec.decode_object(edited(manifests.of(api_version, kind), changes or {})))


def prepared(obj: Any) -> Any:
    """An object as it is after the hooks of a create."""
    found = kinds.of(obj)
    if found.namespaced and not obj.metadata.namespace:
        obj.metadata.namespace = "default"
    obj.metadata.uid = "u1"
    strategy = strategy_of(found)
    strategy.prepare_create(obj)
    strategy.default(obj)
    return obj


def violations(obj: Any) -> list[FieldViolation]:
    """Everything wrong with a new object."""
    kind = kinds.of(obj)
    strategy = strategy_of(kind)
    found = meta.validate(obj.metadata, namespaced=kind.namespaced, name_rule=strategy.validate_name)
    return found + strategy.validate(obj) + strategy.validate_create(obj)


def refused(obj: Any) -> list[str]:
    """The fields of a new object that are refused, each once, in order."""
    return list(dict.fromkeys(violation.field for violation in violations(obj)))


def refused_update(old: Any, changes: Changes) -> list[str]:
    """The fields that are refused when an object is changed."""
    kind = kinds.of(old)
    strategy = strategy_of(kind)
    new: Any = codec.decode_object(edited(codec.encode_object(old), changes))
    strategy.default(new)
    strategy.prepare_update(new, old)
    found = strategy.validate(new) + strategy.validate_update(new, old)
    return list(dict.fromkeys(violation.field for violation in found))


def refused_status(old: Any, changes: Changes) -> list[str]:
    """The fields that are refused when an object's status is changed."""
    strategy = strategy_of(kinds.of(old))
    new: Any = codec.decode_object(edited(codec.encode_object(old), changes))
    strategy.prepare_status_update(new, old)
    return list(dict.fromkeys(violation.field for violation in strategy.validate_status_update(new, old)))
