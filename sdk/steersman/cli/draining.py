"""Which pods of a node go when it is drained, which stay, and what forbids it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

MIRROR = "kubernetes.io/config.mirror"


@dataclass(frozen=True)
class Rules:
    """What the person who drains has agreed to.

    Attributes:
        ignore_daemon_sets: leave the pods of DaemonSets where they are.
        delete_empty_dirs: lose what pods keep in emptyDir volumes.
        force: delete pods that nobody makes again.
    """

    ignore_daemon_sets: bool = False
    delete_empty_dirs: bool = False
    force: bool = False


@dataclass(frozen=True)
class Plan:
    """What becomes of the pods of a node.

    Attributes:
        go: pods to evict.
        forbidden: why it may not be done: (the reason and what would allow it, the pods).
        warnings: what is to be known when it is done: (what, the pods).
    """

    go: tuple[Any, ...]
    forbidden: dict[str, list[str]] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)


def plan(pods: Sequence[Any], daemon_sets: Collection[tuple[str, str]], rules: Rules) -> Plan:
    """Decides about each pod.

    Args:
        pods: all pods of the node that are looked at.
        daemon_sets: (namespace, name) of the DaemonSets that there are.
        rules: what was agreed to.
    """
    go: list[Any] = []
    forbidden: dict[str, list[str]] = {}
    warnings: dict[str, list[str]] = {}

    def note(where: dict[str, list[str]], text: str, pod: Any) -> None:
        where.setdefault(text, []).append(name_of(pod))

    for pod in pods:
        if MIRROR in pod.metadata.annotations:
            # Its file on the node makes it; nobody else can stop it.
            continue
        if pod.status.phase in ("Succeeded", "Failed"):
            go.append(pod)
            continue
        owner = next((each for each in pod.metadata.owner_references if each.controller), None)
        if owner is not None and owner.kind == "DaemonSet" and owner.api_version.startswith("apps/"):
            if (pod.metadata.namespace, owner.name) in daemon_sets:
                if rules.ignore_daemon_sets:
                    note(warnings, "stay, as their DaemonSets would make them again", pod)
                else:
                    note(forbidden, "are of a DaemonSet, which makes them again here (--ignore-daemonsets)", pod)
                continue
            if not rules.force:
                note(forbidden, "are of a DaemonSet that is gone (--force)", pod)
                continue
            note(warnings, "are deleted, and nobody makes them again: their DaemonSet is gone", pod)
        elif owner is None:
            if not rules.force:
                note(forbidden, "have no controller that would make them again elsewhere (--force)", pod)
                continue
            note(warnings, "are deleted, and nobody makes them again: they have no controller", pod)
        if _keeps_data(pod) and not rules.delete_empty_dirs:
            note(forbidden, "keep data in emptyDir volumes, which go with them (--delete-emptydir-data)", pod)
            continue
        go.append(pod)
    return Plan(tuple(go), forbidden, warnings)


def _keeps_data(pod: Any) -> bool:
    return any(volume.volume_source.HasField("empty_dir") for volume in pod.spec.volumes)


def name_of(pod: Any) -> str:
    """A pod as messages name it: NAMESPACE/NAME."""
    return f"{pod.metadata.namespace}/{pod.metadata.name}"
