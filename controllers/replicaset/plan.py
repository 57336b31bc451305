"""What a ReplicaSet needs next. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from steersman.apps.v1.replica_set_pb2 import ReplicaSet, ReplicaSetStatus
from steersman.clock import from_timestamp, to_timestamp
from steersman.selectors import of_message

from controllers.pods import available_at, controller_of, is_active, is_available, is_ready

# At most so many pods are created or deleted in one round.
BURST = 500


@dataclass(frozen=True)
class Adopt:
    """Make the ReplicaSet the owner of a pod that matches and has none."""

    pod: Any


@dataclass(frozen=True)
class Release:
    """Give up a pod that no longer matches."""

    pod: Any


@dataclass(frozen=True)
class CreatePods:
    """Create so many pods."""

    count: int


@dataclass(frozen=True)
class DeletePod:
    """Delete a pod."""

    pod: Any


Action = Adopt | Release | CreatePods | DeletePod


@dataclass(frozen=True)
class Plan:
    """What to do, and when time alone will change something (seconds from now; None: never)."""

    actions: list[Action]
    look_again_s: float | None


def plan(replica_set: ReplicaSet, pods: Sequence[Any], pending: int, now: datetime) -> Plan:
    """Decides.

    Args:
        replica_set: the object.
        pods: pods of its namespace that it owns, or that match and have no owner.
        pending: pods created for it that are not among `pods` yet.
        now: present time.
    """
    if replica_set.metadata.HasField("deletion_timestamp"):
        return Plan([], None)
    selector = of_message(replica_set.spec.selector)
    actions: list[Action] = []
    mine: list[Any] = []
    for pod in pods:
        owner = controller_of(pod)
        matches = selector.matches(pod.metadata.labels)
        if owner is not None and owner.uid == replica_set.metadata.uid:
            if matches:
                mine.append(pod)
            elif not pod.metadata.HasField("deletion_timestamp"):
                actions.append(Release(pod))
        elif owner is None and matches and is_active(pod):
            actions.append(Adopt(pod))
            mine.append(pod)
    active = [pod for pod in mine if is_active(pod)]
    missing = replica_set.spec.replicas - len(active) - pending
    if missing > 0:
        actions.append(CreatePods(min(missing, BURST)))
    elif missing < 0 and not pending:
        actions += [DeletePod(pod) for pod in doomed_first(active)[: min(-missing, BURST)]]
    return Plan(actions, _look_again_s(active, replica_set.spec.min_ready_seconds, now))


def _look_again_s(pods: Sequence[Any], min_ready_s: int, now: datetime) -> float | None:
    if not min_ready_s:
        return None
    moments = [at for pod in pods if (at := available_at(pod, min_ready_s)) is not None and at > now]
    return (min(moments) - now).total_seconds() + 0.01 if moments else None


def doomed_first(pods: Sequence[Any]) -> list[Any]:
    """Pods in the order in which they are given up when there are too many.

    As Kubernetes: without a node, then pending, then not ready, then lower deletion cost, then where more of them
    share a node, then ready for a shorter time, then more restarts, then younger.
    """
    per_node = Counter(pod.spec.node_name for pod in pods)

    def rank(pod: Any) -> tuple[Any, ...]:
        phase = {"Pending": 0, "Unknown": 1, "": 0}.get(pod.status.phase, 2)
        ready_at = available_at(pod, 0)
        restarts = max((c.restart_count for c in pod.status.container_statuses), default=0)
        return (
            bool(pod.spec.node_name),
            phase,
            is_ready(pod),
            _cost(pod),
            -per_node[pod.spec.node_name],
            -(ready_at.timestamp() if ready_at is not None else 0),
            -restarts,
            -from_timestamp(pod.metadata.creation_timestamp).timestamp(),
            pod.metadata.name,
        )

    return sorted(pods, key=rank)


def _cost(pod: Any) -> int:
    try:
        return int(pod.metadata.annotations.get("controller.kubernetes.io/pod-deletion-cost", "0"))
    except ValueError:
        return 0


def status(replica_set: ReplicaSet, pods: Sequence[Any], failure: str, now: datetime) -> ReplicaSetStatus:
    """The status that belongs to what is observed.

    Args:
        replica_set: the object.
        pods: the pods that it owns and that match.
        failure: why pods could not be created or deleted; empty when they could.
        now: present time.
    """
    active = [pod for pod in pods if is_active(pod)]
    template = replica_set.spec.template.metadata.labels
    result = ReplicaSetStatus(
        replicas=len(active),
        fully_labeled_replicas=sum(
            all(pod.metadata.labels.get(key) == value for key, value in template.items()) for pod in active
        ),
        ready_replicas=sum(map(is_ready, active)),
        available_replicas=sum(is_available(pod, replica_set.spec.min_ready_seconds, now) for pod in active),
        observed_generation=replica_set.metadata.generation,
        terminating_replicas=sum(pod.metadata.HasField("deletion_timestamp") for pod in pods),
    )
    known = next((c for c in replica_set.status.conditions if c.type == "ReplicaFailure"), None)
    result.conditions.extend(c for c in replica_set.status.conditions if c.type != "ReplicaFailure")
    if failure:
        moment = known.last_transition_time if known is not None else to_timestamp(now, whole_seconds=True)
        result.conditions.add(
            type="ReplicaFailure",
            status="True",
            reason="FailedCreate",
            message=failure,
            last_transition_time=moment,
        )
    return result
