"""Makes the roles and bindings that every cluster has, and mends them; other apiservers may do so at the same time."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from steersman.meta.v1.requests_pb2 import WriteOptions

from apiserver import errors
from apiserver.authn import MASTERS, User
from apiserver.authz import defaults, rules
from apiserver.registry import Registry

log = structlog.get_logger(__name__)

_USER = User("system:apiserver", (MASTERS,))
_OPTIONS = WriteOptions(field_manager="apiserver")


async def ensure(cluster_roles: Registry, bindings: Registry) -> None:
    """Creates what is missing and adds what is missing of what is there; takes nothing away.

    Raises:
        StorageUnavailable: the store is away; nothing is half written, another call goes on.
    """
    # Together: they do not depend on each other, and a store commits many writes as fast as one.
    await asyncio.gather(
        *(_ensure(cluster_roles, role, _mend_role) for role in defaults.cluster_roles()),
        *(_ensure(bindings, binding, _mend_binding) for binding in defaults.cluster_role_bindings()),
    )


async def _ensure(registry: Registry, wanted: Any, mend: Any) -> None:
    name = wanted.metadata.name
    known = registry.cache.get(registry.key("", name))
    if known is not None:
        found = type(wanted)()
        found.CopyFrom(known.facts)
        if found.metadata.annotations.get(defaults.AUTOUPDATE) == "false" or not mend(found, wanted):
            return

        async def change(old: Any) -> Any:
            mend(old, wanted)
            return old

        await registry.modify(_USER, "", name, change, _OPTIONS)
        log.info("mended", resource=registry.resource, name=name)
        return
    fresh = type(wanted)()
    fresh.CopyFrom(wanted)
    try:
        await registry.create(_USER, fresh, _OPTIONS)
    except errors.ObjectExists:
        return


def _mend_role(found: Any, wanted: Any) -> bool:
    """Adds what is missing of a role; whether anything was."""
    have = [rules.of_message(rule) for rule in found.rules]
    missing = [rule for rule in wanted.rules if rules.uncovered([rules.of_message(rule)], have)]
    found.rules.extend(missing)
    changed = bool(missing)
    for key, value in wanted.metadata.labels.items():
        if found.metadata.labels.get(key) != value:
            found.metadata.labels[key] = value
            changed = True
    if wanted.HasField("aggregation_rule") and not found.HasField("aggregation_rule"):
        found.aggregation_rule.CopyFrom(wanted.aggregation_rule)
        changed = True
    return changed


def _mend_binding(found: Any, wanted: Any) -> bool:
    missing = [subject for subject in wanted.subjects if subject not in found.subjects]
    found.subjects.extend(missing)
    return bool(missing)
