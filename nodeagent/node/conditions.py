"""The conditions of the Node object, decided from what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from steersman.clock import to_timestamp
from steersman.core.v1.node_pb2 import NodeCondition

from nodeagent.node.pressure import Pressure

NO_POD_CIDR = "NoPodCIDR"


@dataclass(frozen=True)
class NodeState:
    """What the conditions follow from.

    Attributes:
        pressure: what the machine runs short of.
        runtime_problem: why the runtime is not ready; "" when it is.
        network_problem: why pods cannot get a network; "" when they can.
    """

    pressure: Pressure
    runtime_problem: str = ""
    network_problem: str = ""


def conditions(state: NodeState, before: Iterable[NodeCondition], now: datetime) -> list[NodeCondition]:
    """The conditions to write; a transition time changes only with its status. Those of others are kept."""
    known = {each.type: each for each in before}
    short = state.pressure
    found = [
        _pressure("MemoryPressure", short.memory, "KubeletHasInsufficientMemory", "KubeletHasSufficientMemory"),
        _pressure("DiskPressure", short.disk, "KubeletHasDiskPressure", "KubeletHasNoDiskPressure"),
        _pressure("PIDPressure", short.processes, "KubeletHasInsufficientPID", "KubeletHasSufficientPID"),
    ]
    problems = [each for each in (state.runtime_problem, state.network_problem) if each]
    if problems:
        ready = NodeCondition(type="Ready", status="False", reason="KubeletNotReady", message="; ".join(problems))
    else:
        ready = NodeCondition(type="Ready", status="True", reason="KubeletReady", message="nodeagent is ready")
    found.append(ready)
    stamp = to_timestamp(now, whole_seconds=True)
    for condition in found:
        old = known.pop(condition.type, None)
        condition.last_heartbeat_time.CopyFrom(stamp)
        same = old is not None and old.status == condition.status and old.HasField("last_transition_time")
        condition.last_transition_time.CopyFrom(old.last_transition_time if old is not None and same else stamp)
    return [*found, *known.values()]


def _pressure(kind: str, present: bool, bad: str, good: str) -> NodeCondition:
    reason = bad if present else good
    words = {
        "MemoryPressure": ("the node is short of memory", "the node has enough memory"),
        "DiskPressure": ("the node is short of disk space", "the node has enough disk space"),
        "PIDPressure": ("the node is short of process ids", "the node has enough process ids"),
    }[kind]
    return NodeCondition(
        type=kind, status="True" if present else "False", reason=reason, message=words[0] if present else words[1]
    )


def differ(one: Iterable[NodeCondition], other: Iterable[NodeCondition]) -> bool:
    """Whether conditions differ in more than the time they were looked at."""

    def facts(found: Iterable[NodeCondition]) -> set[tuple[str, str, str, str]]:
        return {(each.type, each.status, each.reason, each.message) for each in found}

    return facts(one) != facts(other)
