"""NamespaceLifecycle: nothing is created in a namespace that does not exist or is being deleted."""

from __future__ import annotations

from steersman.core.v1.namespace_pb2 import Namespace

from apiserver import errors
from apiserver.admission.port import CREATE, DELETE, Admission
from apiserver.storage.port import Storage
from apiserver.watchcache.cache import Cache

IMMORTAL = frozenset({"default", "kube-system", "kube-public"})


class NamespaceLifecycle:
    """Asks the cache first, and the store when the cache does not know the namespace yet."""

    def __init__(self, namespaces: Cache, storage: Storage, prefix: str) -> None:
        self._namespaces = namespaces
        self._storage = storage
        self._prefix = prefix

    async def admit(self, write: Admission) -> None:
        """See `Plugin.admit`."""
        if write.kind.kind == "Namespace" and write.operation == DELETE and write.obj.metadata.name in IMMORTAL:
            raise errors.NotPossible(f"namespace {write.obj.metadata.name!r} is part of the cluster; it stays")
        if not write.kind.namespaced or write.operation != CREATE:
            return
        name = write.obj.metadata.namespace
        phase = await self._phase(name)
        if phase is None:
            raise errors.ObjectNotFound("namespaces", name)
        if phase == "Terminating":
            raise errors.NotPossible(f"namespace {name!r} is being deleted: nothing can be created in it")

    async def _phase(self, name: str) -> str | None:
        entry = self._namespaces.get(self._prefix + name)
        if entry is not None:
            return entry.fields.get("status.phase", "")
        stored = await self._storage.get(self._prefix + name)
        return Namespace.FromString(stored.value).status.phase if stored is not None else None
