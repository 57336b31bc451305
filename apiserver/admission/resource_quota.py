"""ResourceQuota: what a write adds to the use of its namespace is charged in the transaction that stores the object.

So there is no moment at which an object is stored and not counted, or counted and not stored, whoever else writes, and
on however many apiservers. Objects that go are taken off by the quota controller, which recounts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from weakref import WeakValueDictionary

from steersman import quantity, quotas
from steersman.core.v1.resource_quota_pb2 import ResourceQuota
from steersman.quotas import Usage

from apiserver import errors
from apiserver.admission.port import CREATE, UPDATE, Admission, Put
from apiserver.registry import Registry
from apiserver.storage.port import Guarded, KeyChanged, Storage

QUOTAS = "steersman.core.v1.ResourceQuotas"
ATTEMPTS = 64
# Kinds whose use may grow when they are updated.
_GROWING = frozenset({"pods", "services", "persistentvolumeclaims"})


class QuotaAdmission:
    """Finds the quotas that a write counts for; `Charge.settle` stores it with them."""

    def __init__(self, registries: Mapping[str, Registry], storage: Storage) -> None:
        self._registries = registries
        self._quotas = registries[QUOTAS]
        self._storage = storage
        # Writers of one namespace queue here instead of outrunning each other; other apiservers are still noticed.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def admit(self, write: Admission) -> None:
        """See `Plugin.admit`."""
        if not write.kind.namespaced or write.operation not in (CREATE, UPDATE):
            return
        resource, namespace = write.kind.qualified_plural, write.obj.metadata.namespace
        if write.operation == UPDATE and resource not in _GROWING:
            return
        keys = self._keys(namespace)
        if not keys:
            return
        turn = self._turns.setdefault(namespace, asyncio.Lock())
        write.charge = Charge(self, write, keys, turn)
        await write.charge.check()

    def _keys(self, namespace: str) -> list[str]:
        """Keys of the quotas of a namespace."""
        prefix = self._quotas.key(namespace, "")
        return [key for key in self._quotas.cache.keys() if key.startswith(prefix)]  # noqa: SIM118

    async def read(self, key: str) -> tuple[Any, int] | None:
        """A quota as it is now, with its revision; None when it is gone."""
        stored = await self._storage.get(key)
        return (ResourceQuota.FromString(stored.value), stored.revision) if stored is not None else None

    def encoded(self, quota: Any) -> bytes:
        """A quota as it is stored."""
        data: bytes = quota.SerializeToString()
        return data

    async def recounted(self, quota: Any, namespace: str) -> Usage:
        """What is used of a quota, counted now."""
        objects: list[tuple[str, Any]] = []
        for resource in sorted(quotas.kinds_of(quota.spec.hard)):
            registry = next((r for r in self._registries.values() if r.resource == resource), None)
            if registry is None or not registry.kind.namespaced:
                continue
            page = await registry.list_page(namespace, after="", limit=0, revision=0)
            objects += [(resource, registry.kind.message.FromString(item.value)) for item in page.items]
        return quotas.counted(quota, objects)


class Charge:
    """What one write costs."""

    def __init__(self, admission: QuotaAdmission, write: Admission, keys: list[str], turn: asyncio.Lock) -> None:
        self._admission = admission
        self._write = write
        self._keys = keys
        self._turn = turn

    async def check(self) -> None:
        """Refuses what cannot be stored anyway, before more is done for it.

        Raises:
            QuotaExceeded: a quota is used up.
        """
        await self._guards()

    async def settle(self, put: Put) -> int:
        """Stores the object by `put` with the quotas that count it, again when one of them changed meanwhile.

        Raises:
            QuotaExceeded: a quota is used up.
            Whatever `put` raises.
        """
        async with self._turn:
            for _ in range(ATTEMPTS):
                guards = await self._guards()
                try:
                    return await put(guards)
                except KeyChanged as error:
                    if error.key not in {guard.key for guard in guards}:
                        raise
        name = self._write.obj.metadata.name
        raise errors.Conflicting(
            self._write.kind.qualified_plural, name, "the quotas of its namespace change too often"
        )

    async def _guards(self) -> list[Guarded]:
        write, resource = self._write, self._write.kind.qualified_plural
        found: list[Guarded] = []
        for key in self._keys:
            known = await self._admission.read(key)
            if known is None:
                continue
            quota, revision = known
            if quota.spec.hard != quota.status.hard or set(quota.status.used) != set(quota.spec.hard):
                used = await self._admission.recounted(quota, write.obj.metadata.namespace)
            else:
                used = {name: quantity.parse(amount.value) for name, amount in quota.status.used.items()}
            added = _added(quota, resource, write)
            self._check(quota, resource, used, added)
            if not any(added.values()):
                continue
            quota.status.hard.clear()
            quota.status.used.clear()
            for name, amount in quota.spec.hard.items():
                quota.status.hard[name].value = amount.value
                total = used.get(name, Decimal(0)) + added.get(name, Decimal(0))
                quota.status.used[name].value = quotas.shown(name, total)
            found.append(Guarded(key, self._admission.encoded(quota), revision))
        return found

    def _check(self, quota: Any, resource: str, used: Usage, added: Usage) -> None:
        name = self._write.obj.metadata.name or self._write.obj.metadata.generate_name
        if resource == "pods" and self._write.operation == CREATE and quotas.applies(quota, resource, self._write.obj):
            missing = quotas.unsaid(self._write.obj, quota.spec.hard)
            if missing:
                why = f"quota {quota.metadata.name!r} wants every container to say {', '.join(missing)}"
                raise errors.Refused("ResourceQuota", resource, name, why)
        exceeded = [
            each
            for each, amount in added.items()
            if amount > 0 and used.get(each, Decimal(0)) + amount > quantity.parse(quota.spec.hard[each].value)
        ]
        if exceeded:
            facts = {
                each: (
                    quotas.shown(each, added[each]),
                    quotas.shown(each, used.get(each, Decimal(0))),
                    quota.spec.hard[each].value,
                )
                for each in sorted(exceeded)
            }
            raise errors.QuotaExceeded(resource, name, quota.metadata.name, facts)


def _added(quota: Any, resource: str, write: Admission) -> Usage:
    """By how much the use of what a quota bounds changes."""

    def of(obj: Any | None) -> Usage:
        return quotas.usage(resource, obj) if obj is not None and quotas.applies(quota, resource, obj) else {}

    after, before = of(write.obj), of(write.old)
    # Less is for the controller to count: what is still there somewhere must not be given away twice.
    return {
        name: max(Decimal(0), after.get(name, Decimal(0)) - before.get(name, Decimal(0)))
        for name in quota.spec.hard
        if name in after
    }
