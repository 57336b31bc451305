"""Which objects `steer apply --prune` takes away: what was applied before and is in no manifest any more. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from steersman import kinds
from steersman.cli.failures import USAGE, CommandError

# Of these kinds, unless a list is given.
DEFAULT = (
    ("v1", "ConfigMap"),
    ("v1", "Endpoints"),
    ("v1", "Namespace"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "PersistentVolume"),
    ("v1", "Pod"),
    ("v1", "ReplicationController"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "Ingress"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
)


def allowed(words: Sequence[str]) -> list[kinds.Kind]:
    """The kinds that may be pruned: `core/v1/ConfigMap`, `apps/v1/Deployment`, or any name of a kind.

    Raises:
        UnknownKindError: a word is no kind.
        CommandError: a word has not the form of one.
    """
    if not words:
        return [kinds.by_api(*each) for each in DEFAULT]
    return [_kind(word) for word in words]


def _kind(word: str) -> kinds.Kind:
    parts = word.split("/")
    if len(parts) == 1:
        return kinds.by_name(word)
    if len(parts) != 3:
        raise CommandError(f"--prune-allowlist {word!r} is not GROUP/VERSION/KIND, as in core/v1/ConfigMap", USAGE)
    group, version, kind = parts
    return kinds.by_api(version if group in ("core", "") else f"{group}/{version}", kind)


def surplus(found: Iterable[Any], kept: Collection[str], manager: str) -> list[Any]:
    """The objects that go.

    Args:
        found: objects that could: of the allowed kinds, in the namespaces of the manifests, matching the selector.
        kept: uids of those that were just applied.
        manager: who applies; what nobody applied under this name stays.
    """
    return [
        obj
        for obj in found
        if obj.metadata.uid not in kept
        and not obj.metadata.HasField("deletion_timestamp")
        and any(
            entry.manager == manager and entry.operation == "Apply" and not entry.subresource
            for entry in obj.metadata.managed_fields
        )
    ]


def says_nothing_new(wanted: Any, live: Any) -> bool:
    """Whether an object has everything already that a manifest says of it (both as plain data)."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            key in live and says_nothing_new(value, live[key]) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(wanted) == len(live)
            and all(says_nothing_new(one, other) for one, other in zip(wanted, live, strict=True))
        )
    return bool(wanted == live)
