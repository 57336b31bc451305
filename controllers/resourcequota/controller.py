"""Observes quotas and all that they count; writes what is used.

The count is right however many writes happen meanwhile: a quota is read first, then the objects, and the result is
written only if the quota is still the one that was read. The apiserver writes the quota with every object that it
stores in the namespace, so that whatever the list has missed has changed the quota.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import structlog
from steersman import errors, kinds, quotas
from steersman.core.v1.resource_quota_pb2 import ResourceQuota
from steersman.informer import Informer, Key, key_of
from steersman.kinds import Kind
from steersman.reconcile import Controller, Result
from steersman.runtime import Runtime

log = structlog.get_logger(__name__)

MANAGER = "resourcequota-controller"
# Everything is counted again now and then, in case a change was missed by all.
RECOUNT_S = 300.0
# Changes come in bursts, as when a Deployment is scaled down: one count serves them all.
SETTLE_S = 0.1


class ResourceQuotaController:
    """One key per quota."""

    def __init__(self, runtime: Runtime, counted: Iterable[Kind]) -> None:
        """Makes it.

        Args:
            runtime: what it runs on.
            counted: kinds whose objects may be counted.
        """
        self._api = runtime.api
        self._quotas = runtime.informer(ResourceQuota)
        self._kinds = {kind.qualified_plural: kind for kind in kinds.every() if kind.namespaced}
        self.controller: Controller[Key] = Controller(
            "resourcequota", self.reconcile, workers=2, clock=runtime.clock, metrics=runtime.metrics
        )
        runtime.add(self.controller)
        self._quotas.add_index("namespace", lambda quota: [quota.metadata.namespace])
        self._quotas.on_change(self._quota_changed)
        for kind in counted:
            if kind.namespaced and kind.kind != "ResourceQuota":
                source: Informer[Any] = runtime.informer(kind)
                source.on_change(lambda old, new, kind=kind: self._object_changed(kind, old, new))  # type: ignore[misc]

    def _quota_changed(self, old: Any, new: Any) -> None:
        if new is not None and (old is None or old.spec != new.spec or new.status.hard != new.spec.hard):
            self.controller.enqueue(key_of(new))

    def _object_changed(self, kind: Kind, old: Any, new: Any) -> None:
        """Only what goes, or gets smaller, is for this loop to count."""
        if old is None:
            return
        concerned = self._quotas.by_index("namespace", old.metadata.namespace)
        if not concerned:
            return
        resource = kind.qualified_plural
        if new is not None and quotas.usage(resource, old) == quotas.usage(resource, new):
            return
        for quota in concerned:
            if resource in quotas.kinds_of(quota.spec.hard):
                self.controller.queue.add_after(key_of(quota), SETTLE_S)

    async def reconcile(self, key: Key) -> Result | None:
        """Counts what is used of one quota and writes it when it differs."""
        try:
            quota = await self._api.resourcequotas.get(key.name, namespace=key.namespace)
        except errors.NotFound:
            return None
        objects: list[tuple[str, Any]] = []
        for resource in sorted(quotas.kinds_of(quota.spec.hard)):
            kind = self._kinds.get(resource)
            if kind is not None:
                found = await self._api.resource(kind).list(namespace=key.namespace)
                objects += [(resource, obj) for obj in found]
        used = quotas.counted(quota, objects)
        counted = ResourceQuota()
        counted.CopyFrom(quota)
        counted.status.Clear()
        for name, amount in quota.spec.hard.items():
            counted.status.hard[name].value = amount.value
            counted.status.used[name].value = quotas.shown(name, used[name])
        if counted.status != quota.status:
            try:
                await self._api.resourcequotas.update_status(counted, field_manager=MANAGER)
            except errors.Conflict:
                # Something was stored meanwhile, and charged.
                return Result(requeue_after_s=SETTLE_S)
            except errors.NotFound:
                return None
            log.debug("counted", quota=f"{key.namespace}/{key.name}")
        return Result(requeue_after_s=RECOUNT_S)
