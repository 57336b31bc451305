"""What belongs together: owners and owned, and how each is doing. Pure: objects in, a tree out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from steersman import kinds, selectors
from steersman.cli import cells, columns

GOOD, PROGRESSING, BAD, NEUTRAL = "good", "progressing", "bad", ""


@dataclass(frozen=True)
class Health:
    """How an object is doing.

    Attributes:
        level: GOOD, PROGRESSING, BAD, or NEUTRAL for what is simply there.
        text: in a few words.
    """

    level: str
    text: str = ""


@dataclass
class Branch:
    """An object in a tree and what it owns."""

    obj: Any
    kind: kinds.Kind
    health: Health
    owned: list[Branch] = field(default_factory=list)
    note: str = ""

    @property
    def name(self) -> str:
        """As `Kind/name`."""
        return f"{self.kind.kind}/{self.obj.metadata.name}"


def health_of(obj: Any) -> Health:
    """How an object is doing, as far as it says so itself."""
    kind = kinds.of(obj)
    if obj.metadata.HasField("deletion_timestamp"):
        held = f", held by {', '.join(obj.metadata.finalizers)}" if obj.metadata.finalizers else ""
        return Health(PROGRESSING, f"being deleted{held}")
    judge = _JUDGES.get(kind.kind)
    return judge(obj) if judge is not None else Health(NEUTRAL)


def _pod(pod: Any) -> Health:
    word = columns.pod_status(pod)
    ready = sum(status.ready for status in pod.status.container_statuses)
    count = f"{word}, {ready}/{len(pod.spec.containers)} ready"
    if pod.status.phase == "Succeeded":
        return Health(GOOD, word)
    if any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions):
        return Health(GOOD, count)
    starting = word in ("Pending", "ContainerCreating", "PodInitializing", "Running") or word.startswith("Init:")
    bad = pod.status.phase == "Failed" or not starting or word.startswith("Init:E") or "BackOff" in word
    return Health(BAD if bad else PROGRESSING, count)


def _replicas(obj: Any) -> Health:
    status = obj.status
    if hasattr(status, "desired_number_scheduled"):
        wanted, ready = status.desired_number_scheduled, status.number_ready
    else:
        wanted, ready = obj.spec.replicas, status.ready_replicas
    text = f"{ready}/{wanted} ready"
    conditions = {each.type: each for each in getattr(status, "conditions", ())}
    stuck = conditions.get("Progressing")
    failing = conditions.get("ReplicaFailure")
    if failing is not None and failing.status == "True":
        return Health(BAD, f"{text}, {failing.reason}")
    if stuck is not None and stuck.status == "False":
        return Health(BAD, f"{text}, {stuck.reason}")
    observed = getattr(status, "observed_generation", 0)
    if obj.metadata.generation and observed < obj.metadata.generation:
        return Health(PROGRESSING, f"{text}, its change is not seen yet")
    if wanted == 0 and ready == 0:
        return Health(NEUTRAL, text)
    return Health(GOOD if ready >= wanted else PROGRESSING, text)


def _job(job: Any) -> Health:
    true = {each.type: each for each in job.status.conditions if each.status == "True"}
    if "Failed" in true:
        return Health(BAD, f"Failed: {true['Failed'].reason}")
    if "Complete" in true:
        return Health(GOOD, "Complete")
    return Health(PROGRESSING, f"{job.status.active} active, {job.status.succeeded} succeeded")


def _slice(one: Any) -> Health:
    ready = sum(not e.conditions.HasField("ready") or e.conditions.ready for e in one.endpoints)
    return Health(GOOD if ready else PROGRESSING, f"{ready}/{len(one.endpoints)} ready")


def _claim(claim: Any) -> Health:
    phase = claim.status.phase or "Pending"
    return Health(GOOD if phase == "Bound" else BAD if phase == "Lost" else PROGRESSING, phase)


def _node(node: Any) -> Health:
    ready = any(each.type == "Ready" and each.status == "True" for each in node.status.conditions)
    return Health(GOOD if ready else BAD, "Ready" if ready else "NotReady")


_JUDGES = {
    "Pod": _pod,
    "Deployment": _replicas,
    "ReplicaSet": _replicas,
    "StatefulSet": _replicas,
    "DaemonSet": _replicas,
    "ReplicationController": _replicas,
    "Job": _job,
    "EndpointSlice": _slice,
    "PersistentVolumeClaim": _claim,
    "Node": _node,
}


def owners_of(obj: Any, by_uid: dict[str, Any]) -> list[Any]:
    """The owners of an object, their owners, and so on; the topmost first."""
    found: list[Any] = []
    current = obj
    seen = {obj.metadata.uid}
    while True:
        references = sorted(current.metadata.owner_references, key=lambda reference: not reference.controller)
        above = next((by_uid[each.uid] for each in references if each.uid in by_uid), None)
        if above is None or above.metadata.uid in seen:
            return found[::-1]
        seen.add(above.metadata.uid)
        found.append(above)
        current = above


def tree(root: Any, objects: Iterable[Any]) -> Branch:
    """An object with everything that it owns, at any depth.

    A service has, besides, the pods that it selects; they are not opened again.
    """
    children: dict[str, list[Any]] = {}
    every = list(objects)
    for obj in every:
        for reference in obj.metadata.owner_references:
            children.setdefault(reference.uid, []).append(obj)

    def grow(obj: Any, above: frozenset[str]) -> Branch:
        branch = Branch(obj, kinds.of(obj), health_of(obj))
        below = above | {obj.metadata.uid}
        for child in _ordered(children.get(obj.metadata.uid, [])):
            if child.metadata.uid not in below:
                branch.owned.append(grow(child, below))
        if branch.kind.kind == "Service" and obj.spec.selector:
            wanted = selectors.of_map(obj.spec.selector)
            for pod in _ordered(every):
                same = pod.metadata.namespace == obj.metadata.namespace
                if same and kinds.of(pod).kind == "Pod" and wanted.matches(pod.metadata.labels):
                    branch.owned.append(Branch(pod, kinds.of(pod), health_of(pod), note="selected"))
        return branch

    return grow(root, frozenset())


def _ordered(objects: Sequence[Any]) -> list[Any]:
    def key(obj: Any) -> tuple[str, int, str]:
        # The newest replica set or revision first.
        revision = obj.metadata.annotations.get("deployment.kubernetes.io/revision", "0")
        return kinds.of(obj).kind, -int(revision) if revision.isdigit() else 0, obj.metadata.name

    return sorted(objects, key=key)


def rows(branch: Branch, now: datetime) -> list[tuple[str, Health, str]]:
    """The lines of a tree: name with the branches in front, health, age."""
    found: list[tuple[str, Health, str]] = []

    def walk(each: Branch, front: str, below: str) -> None:
        note = f" ({each.note})" if each.note else ""
        age = cells.age(each.obj.metadata.creation_timestamp, now)
        found.append((f"{front}{each.name}{note}", each.health, age))
        for index, child in enumerate(each.owned):
            last = index == len(each.owned) - 1
            walk(child, below + ("└─" if last else "├─"), below + ("  " if last else "│ "))

    walk(branch, "", "")
    return found
