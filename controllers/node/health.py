"""Whether a node is alive, what its taints should be, and which of its pods must go. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from steersman.clock import from_timestamp, to_timestamp
from steersman.core.v1.node_pb2 import Node, NodeStatus, Taint

from controllers.pods import condition

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
_PRESSURE = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_OURS = frozenset({NOT_READY, UNREACHABLE, UNSCHEDULABLE, *_PRESSURE.values()})
_REPORTED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


@dataclass(frozen=True)
class Heartbeat:
    """What was last heard of a node.

    Attributes:
        sign: what changes with every sign of life (the lease's renewal, the status' heartbeat).
        heard_at: when this controller saw it change, by its own clock; clocks of nodes are not trusted.
    """

    sign: str
    heard_at: datetime


def is_silent(heartbeat: Heartbeat, grace: timedelta, now: datetime) -> bool:
    """Whether nothing was heard of a node for too long."""
    return now - heartbeat.heard_at > grace


def unknown_status(node: Node, now: datetime) -> NodeStatus | None:
    """The status of a node that is not heard of any more: what it reported is now unknown. None when it says so."""
    result = NodeStatus()
    result.CopyFrom(node.status)
    stamp = to_timestamp(now, whole_seconds=True)
    changed = False
    for name in _REPORTED:
        known = next((c for c in result.conditions if c.type == name), None)
        if known is None:
            known = result.conditions.add(type=name)
        if known.status != "Unknown":
            known.status = "Unknown"
            known.reason = "NodeStatusUnknown"
            known.message = "Kubelet stopped posting node status."
            known.last_transition_time.CopyFrom(stamp)
            changed = True
    return result if changed else None


def taints(node: Node, now: datetime) -> list[Taint]:
    """The taints that a node should have by its conditions; those of others stay as they are."""
    stamp = to_timestamp(now, whole_seconds=True)
    wanted: list[tuple[str, str]] = []
    ready = condition(node, "Ready")
    if ready is None or ready.status == "False":
        wanted += [(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")]
    elif ready.status == "Unknown":
        wanted += [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]
    for name, key in _PRESSURE.items():
        pressure = condition(node, name)
        if pressure is not None and pressure.status == "True":
            wanted.append((key, "NoSchedule"))
    if node.spec.unschedulable:
        wanted.append((UNSCHEDULABLE, "NoSchedule"))
    known = {(taint.key, taint.effect): taint for taint in node.spec.taints}
    result = [_stamped(taint, stamp) for taint in node.spec.taints if taint.key not in _OURS]
    for key, effect in wanted:
        existing = known.get((key, effect))
        result.append(existing if existing is not None else Taint(key=key, effect=effect, time_added=stamp))
    return result


def _stamped(taint: Taint, stamp: Timestamp) -> Taint:
    """A taint with the time from which pods' patience is counted; a person who adds one does not write it."""
    if taint.effect != "NoExecute" or taint.HasField("time_added"):
        return taint
    return Taint(key=taint.key, value=taint.value, effect=taint.effect, time_added=stamp)


def tolerates(toleration: Any, taint: Any) -> bool:
    """Whether a toleration covers a taint."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    operator = toleration.operator or "Equal"
    if operator == "Exists":
        return True
    if operator in ("Gt", "Lt"):
        try:
            value, bound = int(taint.value), int(toleration.value)
        except ValueError:
            return False
        return value > bound if operator == "Gt" else value < bound
    return bool(toleration.value == taint.value)


def evict_at(pod: Any, node_taints: Sequence[Any]) -> datetime | None:
    """When a pod must leave its node because of NoExecute taints; None: it may stay."""
    due: list[datetime] = []
    for taint in node_taints:
        if taint.effect != "NoExecute":
            continue
        added = from_timestamp(taint.time_added)
        matching = [t for t in pod.spec.tolerations if tolerates(t, taint)]
        if not matching:
            due.append(added)
            continue
        if not taint.HasField("time_added"):
            # Not stamped yet: it is, with the next look at the node.
            continue
        limits = [t.toleration_seconds for t in matching if t.HasField("toleration_seconds")]
        if len(limits) == len(matching):
            due.append(added + timedelta(seconds=max(0, min(limits))))
    return min(due) if due else None
