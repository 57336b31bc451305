"""Watches: what the apiserver reports becomes changes of the schedule."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from steersman import selectors
from steersman.apps.v1 import ReplicaSet
from steersman.client import Api
from steersman.clock import Clock
from steersman.core.v1 import Namespace, Node, Pod, Service
from steersman.informer import Informer
from steersman.selectors import SelectorError

from scheduler.schedule import Schedule


class Watcher:
    """Follows pods, nodes, namespaces, Services and ReplicaSets."""

    def __init__(self, api: Api, schedule: Schedule, clock: Clock, wake: Callable[[], None]) -> None:
        self._schedule = schedule
        self._clock = clock
        self._wake = wake
        self.pods = Informer(api.pods, clock=clock)
        self.nodes = Informer(api.nodes, clock=clock)
        self._others = (
            Informer(api.namespaces, clock=clock),
            Informer(api.services, clock=clock),
            Informer(api.replicasets, clock=clock),
        )
        namespaces, services, replicasets = self._others
        self.nodes.on_change(self._node)
        namespaces.on_change(self._namespace)
        services.on_change(self._service)
        replicasets.on_change(self._replicaset)
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
