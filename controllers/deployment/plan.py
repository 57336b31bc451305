"""What a Deployment needs next: which ReplicaSets there shall be, with how many replicas, and the status. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from steersman.apps.v1.deployment_pb2 import Deployment, DeploymentCondition, DeploymentStatus
from steersman.apps.v1.replica_set_pb2 import ReplicaSet
from steersman.clock import from_timestamp, to_timestamp

from controllers.deployment.template import HASH_LABEL, hash_of, same
from controllers.pods import condition, owned_by

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
# Annotations of the Deployment that its ReplicaSets do not get.
_OWN_ANNOTATIONS = frozenset({REVISION, HISTORY, DESIRED, MAXIMUM, "kubectl.kubernetes.io/last-applied-configuration"})


@dataclass(frozen=True)
class CreateReplicaSet:
    """Create a ReplicaSet."""

    replica_set: ReplicaSet


@dataclass(frozen=True)
class UpdateReplicaSet:
    """Write a ReplicaSet that is there: its replicas or annotations changed."""

    replica_set: ReplicaSet
    was: int


@dataclass(frozen=True)
class DeleteReplicaSet:
    """Delete a ReplicaSet that is no longer needed."""

    replica_set: ReplicaSet


Action = CreateReplicaSet | UpdateReplicaSet | DeleteReplicaSet


@dataclass(frozen=True)
class Bounds:
    """How many pods there may be while versions change."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        """At most so many pods in all."""
        return self.replicas + self.surge

    @property
    def least(self) -> int:
        """At least so many available pods."""
        return self.replicas - self.unavailable


def bounds(deployment: Deployment) -> Bounds:
    """The bounds of a Deployment; a percentage of surge rounds up, one of unavailability down."""
    replicas = deployment.spec.replicas
    if deployment.spec.strategy.type != "RollingUpdate":
        return Bounds(replicas, 0, replicas)
    rolling = deployment.spec.strategy.rolling_update
    surge = _amount(rolling.max_surge, replicas, up=True)
    unavailable = _amount(rolling.max_unavailable, replicas, up=False)
    if surge == 0 and unavailable == 0:
        # Both rounded to nothing: without one pod of room nothing could ever be replaced.
        unavailable = 1
    return Bounds(replicas, surge, min(unavailable, replicas))


def _amount(value: Any, total: int, *, up: bool) -> int:
    if value.type == 0:
        return int(value.int_val)
    percent = int(value.str_val.removesuffix("%") or 0)
    return -(-total * percent // 100) if up else total * percent // 100


def revision_of(replica_set: ReplicaSet) -> int:
    """The version number of a ReplicaSet; 0 when it has none."""
    try:
        return int(replica_set.metadata.annotations.get(REVISION, "0"))
    except ValueError:
        return 0


def _oldest_first(replica_sets: Sequence[ReplicaSet]) -> list[ReplicaSet]:
    return sorted(replica_sets, key=lambda rs: (from_timestamp(rs.metadata.creation_timestamp), rs.metadata.name))


def newest(deployment: Deployment, replica_sets: Sequence[ReplicaSet]) -> ReplicaSet | None:
    """The ReplicaSet of the present template; the oldest when there are several."""
    return next((rs for rs in _oldest_first(replica_sets) if same(rs.spec.template, deployment.spec.template)), None)


def plan(deployment: Deployment, replica_sets: Sequence[ReplicaSet]) -> list[Action]:
    """Decides one step; the next one follows when its effects are seen.

    Args:
        deployment: the object.
        replica_sets: the ReplicaSets that it owns.
    """
    if deployment.metadata.HasField("deletion_timestamp"):
        return []
    new = newest(deployment, replica_sets)
    old = [rs for rs in _oldest_first(replica_sets) if rs is not new]
    revision = max((revision_of(rs) for rs in old), default=0) + 1
    if deployment.spec.paused or _is_scaling(deployment, replica_sets):
        return _scale_in_proportion(deployment, new, old)
    if deployment.spec.strategy.type == "Recreate":
        steps = _recreate(deployment, new, old, revision)
    else:
        steps = _roll(deployment, new, old, revision)
    return steps or _clean_up(deployment, old)


def _is_scaling(deployment: Deployment, replica_sets: Sequence[ReplicaSet]) -> bool:
    """Whether the Deployment's replicas changed since its ReplicaSets were last written."""
    desired = str(deployment.spec.replicas)
    return any(rs.spec.replicas > 0 and rs.metadata.annotations.get(DESIRED, desired) != desired for rs in replica_sets)


def _make(deployment: Deployment, replicas: int, revision: int) -> ReplicaSet:
    collisions = deployment.status.collision_count
    name_hash = hash_of(deployment.spec.template, collisions)
    made = ReplicaSet()
    made.metadata.name = f"{deployment.metadata.name}-{name_hash}"
    made.metadata.namespace = deployment.metadata.namespace
    made.metadata.owner_references.append(owned_by(deployment, "Deployment", "apps/v1"))
    made.spec.min_ready_seconds = deployment.spec.min_ready_seconds
    made.spec.selector.CopyFrom(deployment.spec.selector)
    made.spec.selector.match_labels[HASH_LABEL] = name_hash
    made.spec.template.CopyFrom(deployment.spec.template)
    made.spec.template.metadata.labels[HASH_LABEL] = name_hash
    made.metadata.labels.update(made.spec.template.metadata.labels)
    made.spec.replicas = replicas
    _annotate(made, deployment, revision)
    return made


def _annotate(replica_set: ReplicaSet, deployment: Deployment, revision: int) -> None:
    """Notes on the ReplicaSet of the present version what the Deployment says of it, and its number.

    Older ones keep what was said when they were the present one: it is their history.
    """
    annotations = replica_set.metadata.annotations
    for key, value in deployment.metadata.annotations.items():
        if key not in _OWN_ANNOTATIONS:
            annotations[key] = value
    before = revision_of(replica_set)
    if 0 < before < revision:
        # A version that is gone back to has had other numbers.
        annotations[HISTORY] = f"{annotations[HISTORY]},{before}" if HISTORY in annotations else str(before)
    annotations[REVISION] = str(revision)
    _annotate_size(replica_set, deployment)


def _annotate_size(replica_set: ReplicaSet, deployment: Deployment) -> None:
    limits = bounds(deployment)
    replica_set.metadata.annotations[DESIRED] = str(limits.replicas)
    replica_set.metadata.annotations[MAXIMUM] = str(limits.most)


def _write(deployment: Deployment, replica_set: ReplicaSet, replicas: int, revision: int = 0) -> list[Action]:
    """The write that gives a ReplicaSet so many replicas, and the present one its number; nothing when it has them."""
    changed = ReplicaSet()
    changed.CopyFrom(replica_set)
    changed.spec.replicas = replicas
    changed.spec.min_ready_seconds = deployment.spec.min_ready_seconds
    if revision:
        _annotate(changed, deployment, max(revision, revision_of(replica_set)))
    else:
        _annotate_size(changed, deployment)
    return [] if changed == replica_set else [UpdateReplicaSet(changed, replica_set.spec.replicas)]


def _total(replica_sets: Sequence[ReplicaSet]) -> int:
    return sum(rs.spec.replicas for rs in replica_sets)


def _roll(deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet], revision: int) -> list[Action]:
    limits = bounds(deployment)
    room = max(0, limits.most - _total(old) - (new.spec.replicas if new is not None else 0))
    if new is None:
        return [CreateReplicaSet(_make(deployment, min(room, limits.replicas), revision))]
    wanted = new.spec.replicas
    if wanted > limits.replicas:
        wanted = limits.replicas
    elif wanted < limits.replicas:
        wanted = min(limits.replicas, wanted + room)
    steps = _write(deployment, new, wanted, revision)
    return steps or _shrink_old(deployment, new, old, limits)


def _shrink_old(deployment: Deployment, new: ReplicaSet, old: Sequence[ReplicaSet], limits: Bounds) -> list[Action]:
    """Takes from the old versions what is not needed to keep enough pods available; unready pods go first."""
    if not _total(old):
        return []
    unready_new = new.spec.replicas - new.status.available_replicas
    spare = _total([*old, new]) - limits.least - unready_new
    if spare <= 0:
        return []
    wanted = {rs.metadata.name: rs.spec.replicas for rs in old}
    for rs in old:
        broken = min(spare, max(0, rs.spec.replicas - rs.status.available_replicas))
        wanted[rs.metadata.name] -= broken
        spare -= broken
    available = sum(rs.status.available_replicas for rs in (*old, new))
    spare = min(spare, max(0, available - limits.least))
    for rs in old:
        taken = min(spare, wanted[rs.metadata.name])
        wanted[rs.metadata.name] -= taken
        spare -= taken
    steps: list[Action] = []
    for rs in old:
        if wanted[rs.metadata.name] != rs.spec.replicas:
            steps += _write(deployment, rs, wanted[rs.metadata.name])
    return steps


def _recreate(deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet], revision: int) -> list[Action]:
    steps: list[Action] = []
    for rs in old:
        if rs.spec.replicas:
            steps += _write(deployment, rs, 0)
    if steps:
        return steps
    if any(
        rs.status.replicas or rs.status.terminating_replicas or rs.status.observed_generation < rs.metadata.generation
        for rs in old
    ):
        return []
    if new is None:
        return [CreateReplicaSet(_make(deployment, deployment.spec.replicas, revision))]
    return _write(deployment, new, deployment.spec.replicas, revision)


def _scale_in_proportion(deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet]) -> list[Action]:
    """Spreads a new number of replicas over the versions that have any, each in proportion to its size."""
    limits = bounds(deployment)
    active = [rs for rs in (*old, *([new] if new is not None else [])) if rs.spec.replicas > 0]
    if not active:
        return _write(deployment, new, limits.replicas) if new is not None else []
    if len(active) == 1:
        return _write(deployment, active[0], limits.replicas)
    if new is not None and new.status.available_replicas >= limits.replicas and new.spec.replicas == limits.replicas:
        return [step for rs in old if rs.spec.replicas for step in _write(deployment, rs, 0)]
    total = _total(active)
    allowed = limits.most if limits.replicas > 0 else 0
    left = allowed - total
    # Larger ones first; of equals, the newer first when growing and the older first when shrinking.
    ordered = sorted(_oldest_first(active), key=lambda rs: rs.spec.replicas, reverse=True)
    if left > 0:
        newest_first = _oldest_first(active)[::-1]
        ordered = sorted(newest_first, key=lambda rs: rs.spec.replicas, reverse=True)
    wanted: dict[str, int] = {}
    for rs in ordered:
        before = int(rs.metadata.annotations.get(MAXIMUM, str(limits.most)) or limits.most)
        share = round(rs.spec.replicas * allowed / before) - rs.spec.replicas if before else 0
        share = max(min(share, left), 0) if left > 0 else min(max(share, left), 0)
        wanted[rs.metadata.name] = rs.spec.replicas + share
        left -= share
    first = ordered[0].metadata.name
    wanted[first] = max(0, wanted[first] + left)
    return [step for rs in ordered for step in _write(deployment, rs, wanted[rs.metadata.name])]


def _clean_up(deployment: Deployment, old: Sequence[ReplicaSet]) -> list[Action]:
    """Gives up the oldest versions over the history limit, once nothing of them runs."""
    idle = [
        rs
        for rs in sorted(old, key=revision_of)
        if not rs.spec.replicas and not rs.status.replicas and not rs.metadata.HasField("deletion_timestamp")
    ]
    excess = len(idle) - deployment.spec.revision_history_limit
    return [DeleteReplicaSet(rs) for rs in idle[: max(0, excess)]]


# --- status ---------------------------------------------------------------------------------------------------------


def status(
    deployment: Deployment, replica_sets: Sequence[ReplicaSet], now: datetime
) -> tuple[DeploymentStatus, float | None]:
    """The status that belongs to what is observed, and in how many seconds time alone will change it."""
    new = newest(deployment, replica_sets)
    limits = bounds(deployment)
    total = sum(rs.status.replicas for rs in replica_sets)
    available = sum(rs.status.available_replicas for rs in replica_sets)
    result = DeploymentStatus(
        observed_generation=deployment.metadata.generation,
        replicas=total,
        updated_replicas=new.status.replicas if new is not None else 0,
        ready_replicas=sum(rs.status.ready_replicas for rs in replica_sets),
        available_replicas=available,
        unavailable_replicas=max(0, _total(replica_sets) - available),
        terminating_replicas=sum(rs.status.terminating_replicas for rs in replica_sets),
    )
    if deployment.status.HasField("collision_count"):
        result.collision_count = deployment.status.collision_count
    enough = available >= limits.least
    _set_condition(
        result,
        deployment,
        "Available",
        "True" if enough else "False",
        "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        f"Deployment has {'' if enough else 'no '}minimum availability.",
        now,
    )
    look_again_s = _progress(result, deployment, new, replica_sets, now)
    failure = next((c for rs in replica_sets if (c := condition(rs, "ReplicaFailure")) is not None), None)
    if failure is not None:
        _set_condition(result, deployment, "ReplicaFailure", failure.status, failure.reason, failure.message, now)
    return result, look_again_s


def _set_condition(
    result: DeploymentStatus,
    deployment: Deployment,
    name: str,
    value: str,
    reason: str,
    message: str,
    now: datetime,
    *,
    touched: bool = False,
) -> None:
    known = condition(deployment, name)
    stamp = to_timestamp(now, whole_seconds=True)
    made = DeploymentCondition(type=name, status=value, reason=reason, message=message)
    kept = known is not None and known.status == value
    made.last_transition_time.CopyFrom(known.last_transition_time if known is not None and kept else stamp)
    unchanged = kept and known is not None and known.reason == reason and not touched
    made.last_update_time.CopyFrom(known.last_update_time if known is not None and unchanged else stamp)
    if known is not None and unchanged:
        made.message = known.message
    result.conditions.append(made)


def is_complete(deployment: Deployment, result: DeploymentStatus) -> bool:
    """Whether all replicas are of the present version and available, and none of an older one is left."""
    wanted = deployment.spec.replicas
    return bool(
        result.updated_replicas == wanted
        and result.replicas == wanted
        and result.available_replicas == wanted
        and result.observed_generation >= deployment.metadata.generation
    )


def _progress(
    result: DeploymentStatus,
    deployment: Deployment,
    new: ReplicaSet | None,
    replica_sets: Sequence[ReplicaSet],
    now: datetime,
) -> float | None:
    known = condition(deployment, "Progressing")
    name = new.metadata.name if new is not None else ""
    if deployment.spec.paused:
        _set_condition(result, deployment, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now)
        return None
    if is_complete(deployment, result):
        text = f'ReplicaSet "{name}" has successfully progressed.'
        _set_condition(result, deployment, "Progressing", "True", "NewReplicaSetAvailable", text, now)
        return None
    was = deployment.status
    moved = (
        result.updated_replicas > was.updated_replicas
        or (result.replicas - result.updated_replicas) < (was.replicas - was.updated_replicas)
        or result.ready_replicas > was.ready_replicas
        or result.available_replicas > was.available_replicas
    )
    if known is None or moved or known.reason in ("NewReplicaSetAvailable", "DeploymentPaused"):
        text = f'ReplicaSet "{name}" is progressing.' if name else "Deployment is progressing."
        _set_condition(result, deployment, "Progressing", "True", "ReplicaSetUpdated", text, now, touched=moved)
        return float(deployment.spec.progress_deadline_seconds)
    due = from_timestamp(known.last_update_time) + timedelta(seconds=deployment.spec.progress_deadline_seconds)
    if due <= now or known.reason == "ProgressDeadlineExceeded":
        text = f'ReplicaSet "{name}" has timed out progressing.'
        _set_condition(result, deployment, "Progressing", "False", "ProgressDeadlineExceeded", text, now)
        return None
    _set_condition(result, deployment, "Progressing", known.status, known.reason, known.message, now)
    return (due - now).total_seconds() + 0.01
