"""A node without machines: its object, its Lease, and pods that run as far as the API can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Self

from steersman import errors
from steersman.client import Api
from steersman.clock import Clock, to_timestamp
from steersman.coordination.v1 import Lease
from steersman.core.v1 import Node, Pod
from steersman.informer import Informer, Key, key_of
from steersman.quantity import canonical
from steersman.reconcile import Controller

CAPACITY = {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi"}
LEASES = "kube-node-lease"
LEASE_S = 40
RENEW_S = 10.0
POD_CONDITIONS = ("Initialized", "PodReadyToStartContainers", "ContainersReady", "Ready")


class HollowNode:
    """A node that heartbeats, runs what is bound to it at once, and lets go of what is deleted.

    A pod's status is set when the node first sees it and is the test's own from then on: `api.pods.update_status`
    makes one fail or become unready. `stop` makes the node fall silent, as one does whose power is cut.

    Attributes:
        name: its name.
    """

    def __init__(
        self,
        api: Api,
        admin: Api,
        name: str,
        clock: Clock,
        capacity: Mapping[str, str],
        addresses: Iterator[str],
    ) -> None:
        """A node that is not there yet.

        Args:
            api: client of the node itself.
            admin: client of the administrator.
            name: its name.
            clock: where time comes from.
            capacity: what it has, beside the default.
            addresses: where its pods' addresses come from.
        """
        self._api = api
        self._admin = admin
        self.name = name
        self._clock = clock
        self._capacity = {**CAPACITY, **capacity}
        self._pods: Informer[Pod] = Informer(api.pods, field_selector=f"spec.nodeName={name}", clock=clock)
        self._controller: Controller[Key] = Controller(f"hollow {name}", self._reconcile, clock=clock)
        self._tasks: list[asyncio.Task[None]] = []
        self._addresses = addresses

    async def __aenter__(self) -> Self:
        """Registers, and returns when the node is ready and takes pods.

        Raises:
            AlreadyExists: there is a node of this name, even if it has fallen silent.
        """
        try:
            await self._begin()
        except BaseException:
            await self.stop()
            raise
        return self

    async def _begin(self) -> None:
        node = Node()
        node.metadata.name = self.name
        node.metadata.labels["kubernetes.io/hostname"] = self.name
        made = await self._api.nodes.create(node)
        for fields in (made.status.capacity, made.status.allocatable):
            for resource, quantity in self._capacity.items():
                fields[resource].value = canonical(quantity)
        now = to_timestamp(self._clock.now(), whole_seconds=True)
        made.status.conditions.add(
            type="Ready", status="True", reason="HollowNode", last_heartbeat_time=now, last_transition_time=now
        )
        await self._api.nodes.update_status(made)
        # New nodes take no pods until a controller finds them ready; there may be none here.
        await self._admin.nodes.modify(self.name, lambda node: node.spec.ClearField("taints"))
        self._pods.on_change(lambda old, new: self._controller.enqueue(key_of(new if new is not None else old)))
        await self._renew()
        for work in (self._pods.run(), self._controller.run(), self._heartbeat()):
            self._tasks.append(asyncio.create_task(work))
        await self._pods.synced()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Falls silent: no heartbeat, no word of its pods. Idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew(self) -> None:
        """Says that the node is there."""
        lease = Lease()
        lease.metadata.name, lease.metadata.namespace = self.name, LEASES
        lease.spec.holder_identity = self.name
        lease.spec.lease_duration_seconds = LEASE_S
        lease.spec.renew_time.CopyFrom(to_timestamp(self._clock.now()))
        try:
            await self._api.leases.update(lease)
        except errors.NotFound:
            await self._api.leases.create(lease)

    async def _heartbeat(self) -> None:
        while True:
            await self._clock.sleep(RENEW_S)
            # One that fails is made up for by the next, as on a real node.
            with suppress(errors.ApiError):
                await self._renew()

    async def _reconcile(self, key: Key) -> None:
        """Runs a pod that is new here, or lets go of one that is to be deleted."""
        pod = self._pods.get(key)
        if pod is None:
            return
        if pod.metadata.HasField("deletion_timestamp"):
            with suppress(errors.NotFound, errors.Conflict):
                await self._api.pods.delete(key.name, namespace=key.namespace, uid=pod.metadata.uid, grace_period_s=0)
        elif not pod.status.HasField("start_time"):
            with suppress(errors.NotFound):
                await self._api.pods.update_status(self._running(pod))

    def _running(self, pod: Pod) -> Pod:
        """The pod as it is when all its containers run and are ready."""
        now = to_timestamp(self._clock.now(), whole_seconds=True)
        running = Pod()
        running.CopyFrom(pod)
        running.metadata.resource_version = ""
        status = running.status
        address = next(self._addresses)
        status.phase, status.pod_ip = "Running", address
        status.pod_ips.add(ip=address)
        status.start_time.CopyFrom(now)
        for type in POD_CONDITIONS:
            status.conditions.add(type=type, status="True", last_transition_time=now)
        for container in pod.spec.containers:
            told = status.container_statuses.add(
                name=container.name,
                image=container.image,
                ready=True,
                started=True,
                container_id=f"hollow://{pod.metadata.uid}/{container.name}",
            )
            told.state.running.started_at.CopyFrom(now)
        return running
