"""Watches: what the apiserver reports becomes changes of the schedule."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from steersman import selectors
from steersman.apps.v1 import ReplicaSet
from steersman.client import Api
from steersman.clock import Clock
from steersman.core.v1 import Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service
from steersman.informer import Informer
from steersman.selectors import SelectorError
from steersman.storage.v1 import CSINode, StorageClass, VolumeAttachment

from scheduler.schedule import Schedule


class Watcher:
    """Follows pods and nodes, and what else shapes decisions: namespaces, Services, ReplicaSets, storage."""

    def __init__(self, api: Api, schedule: Schedule, clock: Clock, wake: Callable[[], None]) -> None:
        self._schedule = schedule
        self._clock = clock
        self._wake = wake
        self.pods = Informer(api.pods, clock=clock)
        self.nodes = Informer(api.nodes, clock=clock)
        self.claims = Informer(api.persistentvolumeclaims, clock=clock)
        namespaces = Informer(api.namespaces, clock=clock)
        services = Informer(api.services, clock=clock)
        replicasets = Informer(api.replicasets, clock=clock)
        volumes = Informer(api.persistentvolumes, clock=clock)
        classes = Informer(api.storageclasses, clock=clock)
        drivers = Informer(api.csinodes, clock=clock)
        attachments = Informer(api.volumeattachments, clock=clock)
        budgets = Informer(api.poddisruptionbudgets, clock=clock)
        self._others = (
            *(namespaces, services, replicasets),
            *(self.claims, volumes, classes, drivers, attachments),
            budgets,
        )
        self.nodes.on_change(self._node)
        namespaces.on_change(self._namespace)
        services.on_change(self._service)
        replicasets.on_change(self._replicaset)
        self.claims.on_change(self._claim)
        volumes.on_change(self._volume)
        classes.on_change(self._class)
        drivers.on_change(self._drivers)
        attachments.on_change(self._attachment)
        budgets.on_change(self._schedule.budget_changed)
        self.pods.on_change(self._pod)

    async def run(self) -> None:
        """Follows until cancelled."""
        async with asyncio.TaskGroup() as group:
            for informer in (self.nodes, self.pods, *self._others):
                group.create_task(informer.run())

    async def synced(self) -> None:
        """Returns when everything has been read once; before that, decisions would be made in ignorance."""
        await asyncio.gather(*(informer.synced() for informer in (self.nodes, self.pods, *self._others)))

    def _pod(self, old: Pod | None, new: Pod | None) -> None:
        self._schedule.pod_changed(old, new, self._clock.monotonic())
        self._wake()

    def _node(self, old: Node | None, new: Node | None) -> None:
        self._schedule.node_changed(old, new, self._clock.monotonic())
        self._wake()

    def _namespace(self, old: Namespace | None, new: Namespace | None) -> None:
        self._schedule.namespace_changed(old, new, self._clock.monotonic())
        self._wake()

    def _claim(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        self._schedule.claim_changed(old, new, self._clock.monotonic())
        self._wake()

    def _volume(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        self._schedule.volume_changed(old, new, self._clock.monotonic())
        self._wake()

    def _class(self, old: StorageClass | None, new: StorageClass | None) -> None:
        self._schedule.class_changed(old, new, self._clock.monotonic())
        self._wake()

    def _drivers(self, old: CSINode | None, new: CSINode | None) -> None:
        self._schedule.drivers_changed(old, new, self._clock.monotonic())
        self._wake()

    def _attachment(self, old: VolumeAttachment | None, new: VolumeAttachment | None) -> None:
        self._schedule.attachment_changed(old, new, self._clock.monotonic())
        self._wake()

    def _service(self, old: Service | None, new: Service | None) -> None:
        self._schedule.service_changed(old, new)

    def _replicaset(self, old: ReplicaSet | None, new: ReplicaSet | None) -> None:
        subject = new or old
        if subject is None:
            return
        selector = None
        if new is not None:
            try:
                selector = selectors.of_message(new.spec.selector)
            except SelectorError:
                selector = None
        self._schedule.owner_changed("ReplicaSet", subject.metadata.namespace, subject.metadata.name, selector)
