"""Observes nodes, their leases and their pods, and carries out what follows when one is not heard of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import structlog
from steersman import errors
from steersman.clock import from_timestamp, to_timestamp
from steersman.coordination.v1.lease_pb2 import Lease
from steersman.core.v1.node_pb2 import Node
from steersman.core.v1.pod_pb2 import Pod
from steersman.informer import Key
from steersman.reconcile import Result
from steersman.runtime import Runtime

from controllers.node import health, ranges
from controllers.node.health import Heartbeat
from controllers.pods import condition, is_active

log = structlog.get_logger(__name__)

MANAGER = "node-controller"
LEASES = "kube-node-lease"
BY_NODE = "node"


@dataclass(frozen=True)
class Settings:
    """What the flags say.

    Attributes:
        cluster_cidr: pod addresses of the cluster.
        node_mask_size: prefix length of each node's range.
        monitor_period_s: how often nodes are looked at.
        monitor_grace_s: how long a node may be silent before it counts as unreachable.
    """

    cluster_cidr: str
    node_mask_size: int = 24
    monitor_period_s: float = 5.0
    monitor_grace_s: float = 40.0


class NodeController:
    """Ranges, health, taints and evictions; one reconcile per node."""

    def __init__(self, runtime: Runtime, settings: Settings) -> None:
        self._api = runtime.api
        self._recorder = runtime.recorder
        self._clock = runtime.clock
        self._nodes = runtime.informer(Node)
        self._leases = runtime.informer(Lease)
        self._pods = runtime.informer(Pod)
        self._settings = settings
        self._heartbeats: dict[str, Heartbeat] = {}
        # Ranges given out whose echo may still be on its way.
        self._given: dict[str, str] = {}
        self._pods.add_index(BY_NODE, lambda pod: [pod.spec.node_name] if pod.spec.node_name else [])
        runtime.reconciler(Node, watches={Lease: self._heard_of, Pod: self._placed}, workers=1)(self.reconcile)

    def _heard_of(self, _old: Lease | None, new: Lease | None) -> list[Key]:
        """The node that a Lease is of, when hearing of it may change something."""
        if new is None or new.metadata.namespace != LEASES:
            return []
        name = new.metadata.name
        self._hear(name)
        node = self._nodes.get(Key("", name))
        ready = condition(node, "Ready") if node is not None else None
        return [Key("", name)] if ready is None or ready.status == "Unknown" else []

    def _placed(self, old: Pod | None, new: Pod | None) -> list[Key]:
        """The node that a pod came to, when it may not stay there."""
        if new is None or not new.spec.node_name or (old is not None and old.spec.node_name):
            return []
        node = self._nodes.get(Key("", new.spec.node_name))
        return [Key("", new.spec.node_name)] if node is None or node.spec.taints else []

    def _hear(self, name: str) -> Heartbeat:
        lease = self._leases.get(Key(LEASES, name))
        node = self._nodes.get(Key("", name))
        ready = condition(node, "Ready") if node is not None else None
        renewed = f"{lease.spec.renew_time.seconds}.{lease.spec.renew_time.nanos}" if lease is not None else ""
        # Our own "Unknown" is no sign of life: it leaves the heartbeat as the node wrote it.
        sign = f"{renewed}/{ready.last_heartbeat_time.seconds if ready is not None else ''}"
        known = self._heartbeats.get(name)
        if known is None or known.sign != sign:
            known = self._heartbeats[name] = Heartbeat(sign, self._clock.now())
        return known

    async def reconcile(self, key: Key) -> Result | None:
        """Looks after one node."""
        try:
            return await self._look_after(key.name)
        except (errors.Unavailable, errors.DeadlineExceeded):
            # Who is deaf cannot tell who is silent: every node gets its full grace after an outage.
            self._heartbeats.clear()
            raise

    async def _look_after(self, name: str) -> Result | None:
        node = self._nodes.get(Key("", name))
        if node is None:
            return await self._forget(name)
        if not node.spec.pod_cidr:
            await self._give_range(node)
        heartbeat = self._hear(name)
        now = self._clock.now()
        grace = timedelta(seconds=self._settings.monitor_grace_s)
        if health.is_silent(heartbeat, grace, now):
            unknown = health.unknown_status(node, now)
            if unknown is not None:
                changed = Node()
                changed.CopyFrom(node)
                changed.status.CopyFrom(unknown)
                changed.metadata.resource_version = ""
                node = await self._api.nodes.update_status(changed, field_manager=MANAGER)
                self._recorder.event(node, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")
                log.warning("node is not heard of any more", node=name, silent_s=self._settings.monitor_grace_s)
        await self._taint(node)
        await self._mark_pods(node)
        next_s = await self._evict(node)
        return Result(requeue_after_s=min(self._settings.monitor_period_s, next_s))

    async def _give_range(self, node: Node) -> None:
        name = node.metadata.name
        if name in self._given:
            cidr = self._given[name]
        else:
            taken = {n.spec.pod_cidr for n in self._nodes.list() if n.spec.pod_cidr} | set(self._given.values())
            try:
                cidr = ranges.next_free(self._settings.cluster_cidr, self._settings.node_mask_size, taken)
            except ranges.RangesExhausted as error:
                self._recorder.event(node, "Warning", "CIDRNotAvailable", str(error))
                log.error("no pod range for a node", node=name, error=str(error))
                return
            self._given[name] = cidr
        patch = f'{{"spec":{{"podCIDR":"{cidr}","podCIDRs":["{cidr}"]}}}}'.encode()
        await self._api.nodes.patch(name, patch, field_manager=MANAGER)
        log.info("gave a pod range", node=name, cidr=cidr)

    async def _taint(self, node: Node) -> None:
        wanted = health.taints(node, self._clock.now())
        if list(node.spec.taints) == wanted:
            return
        current = await self._api.nodes.get(node.metadata.name)
        wanted = health.taints(current, self._clock.now())
        if list(current.spec.taints) == wanted:
            return
        del current.spec.taints[:]
        current.spec.taints.extend(wanted)
        await self._api.nodes.update(current, field_manager=MANAGER)

    async def _mark_pods(self, node: Node) -> None:
        """Pods of a node that is not heard of are not ready, so that Services send nothing there."""
        ready = condition(node, "Ready")
        if ready is None or ready.status != "Unknown":
            return
        for pod in self._pods.by_index(BY_NODE, node.metadata.name):
            known = condition(pod, "Ready")
            if known is None or known.status != "True":
                continue
            changed = Pod()
            changed.CopyFrom(pod)
            mark = next(c for c in changed.status.conditions if c.type == "Ready")
            mark.status = "False"
            mark.reason = "NodeNotReady"
            mark.last_transition_time.CopyFrom(to_timestamp(self._clock.now(), whole_seconds=True))
            try:
                await self._api.pods.update_status(changed, field_manager=MANAGER)
            except (errors.NotFound, errors.Conflict):
                continue

    async def _evict(self, node: Node) -> float:
        """Deletes the pods that may not stay; returns in how many seconds the next one is due."""
        now = self._clock.now()
        next_s = self._settings.monitor_period_s
        for pod in self._pods.by_index(BY_NODE, node.metadata.name):
            if not is_active(pod):
                continue
            due = health.evict_at(pod, node.spec.taints)
            if due is None:
                continue
            if due > now:
                next_s = min(next_s, (due - now).total_seconds() + 0.01)
                continue
            key = f"{pod.metadata.namespace}/{pod.metadata.name}"
            self._recorder.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {key}")
            try:
                await self._api.pods.delete(pod.metadata.name, namespace=pod.metadata.namespace, uid=pod.metadata.uid)
            except (errors.NotFound, errors.Conflict):
                continue
        return next_s

    async def _forget(self, name: str) -> Result | None:
        """A node is gone for good: so are its pods, as nobody is left to stop them."""
        try:
            await self._api.nodes.get(name)
        except errors.NotFound:
            pass
        else:
            # It exists; our copy of the nodes lags behind that of the pods.
            return Result(requeue_after_s=1.0)
        self._heartbeats.pop(name, None)
        self._given.pop(name, None)
        for pod in self._pods.by_index(BY_NODE, name):
            created = from_timestamp(pod.metadata.creation_timestamp)
            log.info("removing a pod of a node that is gone", pod=pod.metadata.name, node=name, created=str(created))
            try:
                await self._api.pods.delete(
                    pod.metadata.name, namespace=pod.metadata.namespace, uid=pod.metadata.uid, grace_period_s=0
                )
            except (errors.NotFound, errors.Conflict):
                continue
        return None
