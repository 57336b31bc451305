"""What controllers ask of pods. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from steersman.clock import from_timestamp
from steersman.meta.v1.object_meta_pb2 import OwnerReference

FINISHED = ("Succeeded", "Failed")


def condition(obj: Any, name: str) -> Any | None:
    """A condition of an object's status, or None."""
    return next((c for c in obj.status.conditions if c.type == name), None)


def is_ready(pod: Any) -> bool:
    """Whether the pod's Ready condition is true."""
    ready = condition(pod, "Ready")
    return ready is not None and ready.status == "True"


def is_active(pod: Any) -> bool:
    """Whether the pod runs or will run: it has not ended and is not being deleted."""
    return pod.status.phase not in FINISHED and not pod.metadata.HasField("deletion_timestamp")


def available_at(pod: Any, min_ready_s: int) -> datetime | None:
    """When the pod has been ready for long enough; None when it is not ready."""
    ready = condition(pod, "Ready")
    if ready is None or ready.status != "True":
        return None
    return from_timestamp(ready.last_transition_time) + timedelta(seconds=min_ready_s)


def is_available(pod: Any, min_ready_s: int, now: datetime) -> bool:
    """Whether the pod has been ready for so many seconds."""
    at = available_at(pod, min_ready_s)
    return at is not None and (min_ready_s == 0 or at <= now)


def controller_of(obj: Any) -> OwnerReference | None:
    """The owner that manages an object, or None."""
    return next((o for o in obj.metadata.owner_references if o.controller), None)


def owned_by(owner: Any, kind: str, api_version: str) -> OwnerReference:
    """A reference that makes `owner` the managing owner."""
    return OwnerReference(
        api_version=api_version,
        kind=kind,
        name=owner.metadata.name,
        uid=owner.metadata.uid,
        controller=True,
        block_owner_deletion=True,
    )
