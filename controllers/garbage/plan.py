"""What becomes of an object because of its owners or its dependents. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"


class OwnerState(Enum):
    """What is known of an owner."""

    PRESENT = "present"
    WAITING = "waiting for its dependents"
    ABSENT = "absent"


class Fate(Enum):
    """What to do with a dependent."""

    KEEP = "keep"
    DELETE = "delete"
    DELETE_FOREGROUND = "delete after its own dependents"
    DROP_REFERENCES = "forget the owners that are gone"


def fate(obj: Any, state_of: Callable[[Any], OwnerState]) -> Fate:
    """What to do with an object, by the state of its owners: one that is really there keeps it."""
    references = list(obj.metadata.owner_references)
    if not references:
        return Fate.KEEP
    states = [state_of(reference) for reference in references]
    if OwnerState.PRESENT in states:
        return Fate.KEEP if all(state is OwnerState.PRESENT for state in states) else Fate.DROP_REFERENCES
    if obj.metadata.HasField("deletion_timestamp"):
        return Fate.KEEP
    return Fate.DELETE_FOREGROUND if OwnerState.WAITING in states else Fate.DELETE


def waits_for_dependents(obj: Any) -> bool:
    """Whether an object is being deleted after its dependents."""
    return obj.metadata.HasField("deletion_timestamp") and FOREGROUND in obj.metadata.finalizers


def leaves_orphans(obj: Any) -> bool:
    """Whether an object is being deleted and leaves its dependents behind."""
    return obj.metadata.HasField("deletion_timestamp") and ORPHAN in obj.metadata.finalizers


def blocks(dependent: Any, owner_uid: str) -> bool:
    """Whether a dependent holds up the foreground deletion of its owner."""
    return any(o.uid == owner_uid and o.block_owner_deletion for o in dependent.metadata.owner_references)


def without_owners(references: Sequence[Any], uids: set[str]) -> list[Any]:
    """The references to owners other than these."""
    return [reference for reference in references if reference.uid not in uids]
