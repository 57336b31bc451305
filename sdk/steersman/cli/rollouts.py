"""How far a rollout is, and the versions that there were. Pure: objects in, words out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from steersman.cli.failures import CommandError

REVISION = "deployment.kubernetes.io/revision"
CAUSE = "kubernetes.io/change-cause"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
HASH_LABEL = "pod-template-hash"
# Annotations of a Deployment that are not a version's, and stay when it goes back to one.
OWN_ANNOTATIONS = frozenset(
    {
        REVISION,
        "deployment.kubernetes.io/revision-history",
        "deployment.kubernetes.io/desired-replicas",
        "deployment.kubernetes.io/max-replicas",
        "kubectl.kubernetes.io/last-applied-configuration",
    }
)


class Progress(NamedTuple):
    """How far a rollout is: in words, and whether it has arrived."""

    text: str
    done: bool


def progress(obj: Any, name: str) -> Progress:
    """How far the rollout of a Deployment, a DaemonSet or a StatefulSet is.

    Raises:
        CommandError: it has failed, or is of a kind of which that cannot be said.
    """
    kind = obj.DESCRIPTOR.name
    if kind != "Deployment" and obj.spec.update_strategy.type not in ("", "RollingUpdate"):
        raise CommandError(f"{name} replaces its pods only as they are deleted ({obj.spec.update_strategy.type})")
    if obj.status.observed_generation < obj.metadata.generation:
        return Progress(f"{name}: waiting until the change is seen", done=False)
    return {"Deployment": _deployment, "DaemonSet": _daemon_set, "StatefulSet": _stateful_set}[kind](obj, name)


def _deployment(obj: Any, name: str) -> Progress:
    spec, status = obj.spec, obj.status
    for condition in status.conditions:
        if condition.type == "Progressing" and condition.reason == "ProgressDeadlineExceeded":
            raise CommandError(
                f"{name} has not progressed for {spec.progress_deadline_seconds} s: {_why(obj) or condition.message}"
            )
    if status.updated_replicas < spec.replicas:
        return Progress(f"{name}: {status.updated_replicas} of {spec.replicas} new replicas are made", done=False)
    if status.replicas > status.updated_replicas:
        left = status.replicas - status.updated_replicas
        return Progress(f"{name}: {left} old replicas are to go", done=False)
    if status.available_replicas < status.updated_replicas:
        text = f"{name}: {status.available_replicas} of {status.updated_replicas} new replicas are available"
        return Progress(text, done=False)
    return Progress(f"{name} successfully rolled out", done=True)


def _why(obj: Any) -> str:
    return next((c.message for c in obj.status.conditions if c.type == "ReplicaFailure" and c.status == "True"), "")


def _daemon_set(obj: Any, name: str) -> Progress:
    status = obj.status
    wanted = status.desired_number_scheduled
    if status.updated_number_scheduled < wanted:
        return Progress(f"{name}: {status.updated_number_scheduled} of {wanted} new pods are made", done=False)
    if status.number_available < wanted:
        return Progress(f"{name}: {status.number_available} of {wanted} new pods are available", done=False)
    return Progress(f"{name} successfully rolled out", done=True)


def _stateful_set(obj: Any, name: str) -> Progress:
    spec, status = obj.spec, obj.status
    if status.ready_replicas < spec.replicas:
        return Progress(f"{name}: {status.ready_replicas} of {spec.replicas} pods are ready", done=False)
    partition = spec.update_strategy.rolling_update.partition
    if partition:
        wanted = max(0, spec.replicas - partition)
        if status.updated_replicas < wanted:
            return Progress(f"{name}: {status.updated_replicas} of {wanted} new pods are made", done=False)
        return Progress(
            f"{name} successfully rolled out to {wanted} of {spec.replicas} pods, as its partition says", done=True
        )
    if status.update_revision != status.current_revision:
        return Progress(f"{name}: {status.updated_replicas} of {spec.replicas} new pods are made", done=False)
    return Progress(f"{name} successfully rolled out", done=True)


# --- versions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    """A version of an object that there was.

    Attributes:
        number: its number; higher is newer.
        cause: why it was made, as somebody noted.
        source: the object that remembers it: a ReplicaSet or a ControllerRevision.
    """

    number: int
    cause: str
    source: Any

    @property
    def template(self) -> dict[str, Any]:
        """Its pod template as plain data."""
        from steersman.manifests import codec

        if self.source.DESCRIPTOR.name == "ReplicaSet":
            data = codec.encode(self.source.spec.template)
            labels = {k: v for k, v in data.get("metadata", {}).get("labels", {}).items() if k != HASH_LABEL}
            metadata = {**data.get("metadata", {}), "labels": labels}
            return {**data, "metadata": metadata}
        remembered: dict[str, Any] = json.loads(self.source.data.raw or b"{}")
        template = dict(remembered.get("spec", {}).get("template", {}))
        template.pop("$patch", None)
        return template


def versions(owner: Any, sources: Sequence[Any]) -> list[Version]:
    """The versions of an object, oldest first: of the ReplicaSets or ControllerRevisions that it owns."""
    found = []
    for source in sources:
        if not any(each.uid == owner.metadata.uid and each.controller for each in source.metadata.owner_references):
            continue
        annotations = source.metadata.annotations
        text = annotations.get(REVISION, "") if source.DESCRIPTOR.name == "ReplicaSet" else str(source.revision)
        if text.isdecimal() and int(text):
            found.append(Version(int(text), annotations.get(CAUSE, ""), source))
    return sorted(found, key=lambda version: version.number)


def chosen(found: Sequence[Version], number: int, name: str) -> Version:
    """The version of a number; 0: the one before the present one.

    Raises:
        CommandError: there is none.
    """
    if not found:
        raise CommandError(f"{name} has no versions")
    if number:
        for version in found:
            if version.number == number:
                return version
        there = ", ".join(str(version.number) for version in found)
        raise CommandError(f"{name} has no version {number}; there are {there}")
    if len(found) < 2:
        raise CommandError(f"{name} has no version before the present one")
    return found[-2]
