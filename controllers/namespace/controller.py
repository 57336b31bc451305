"""Observes namespaces that are being deleted, deletes what is in them, pods first, and lets them go."""

from __future__ import annotations

from typing import Any

import structlog
from steersman import errors, kinds
from steersman.client import ResourceClient
from steersman.core.v1.namespace_pb2 import Namespace
from steersman.informer import Key
from steersman.reconcile import Result
from steersman.runtime import Runtime

log = structlog.get_logger(__name__)

MANAGER = "namespace-controller"
FINALIZER = "kubernetes"
LOOK_AGAIN_S = 0.5


class NamespaceController:
    """Empties namespaces."""

    def __init__(self, runtime: Runtime) -> None:
        self._api = runtime.api
        self._namespaces = runtime.informer(Namespace)
        runtime.reconciler(Namespace, workers=2)(self.reconcile)

    async def reconcile(self, key: Key) -> Result | None:
        """Deletes what is in a namespace that is being deleted; gives it up when nothing is left."""
        namespace = self._namespaces.get(key)
        if namespace is None or not namespace.metadata.HasField("deletion_timestamp"):
            return None
        if namespace.status.phase != "Terminating":
            changed = Namespace()
            changed.CopyFrom(namespace)
            changed.status.phase = "Terminating"
            changed.metadata.resource_version = ""
            await self._api.namespaces.update_status(changed, field_manager=MANAGER)
        if FINALIZER not in namespace.spec.finalizers:
            return None
        # Pods go first: while they run they may still need what else is here.
        if await self._empty([kinds.by_api("v1", "Pod")], key.name):
            return Result(requeue_after_s=LOOK_AGAIN_S)
        others = [kind for kind in kinds.every() if kind.namespaced and kind.kind != "Pod"]
        if await self._empty(others, key.name):
            return Result(requeue_after_s=LOOK_AGAIN_S)
        current = await self._api.namespaces.get(key.name)
        kept = [name for name in current.spec.finalizers if name != FINALIZER]
        del current.spec.finalizers[:]
        current.spec.finalizers.extend(kept)
        await self._api.namespaces.update(current, field_manager=MANAGER)
        log.info("namespace is empty", namespace=key.name)
        return None

    async def _empty(self, contents: list[kinds.Kind], namespace: str) -> bool:
        """Deletes all objects of some kinds; True when any is (or was) there."""
        found = False
        for kind in contents:
            client: ResourceClient[Any] = self._api.resource(kind)
            if not await client.list(namespace=namespace):
                continue
            found = True
            try:
                await client.delete_collection(namespace=namespace)
            except errors.Conflict:
                continue
        return found
