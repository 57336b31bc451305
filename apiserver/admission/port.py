"""What an admission plugin is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from steersman.kinds import Kind

from apiserver.authn import User
from apiserver.storage.port import Guarded

CREATE, UPDATE, DELETE, STATUS = "create", "update", "delete", "status"


# Stores an object together with the keys that it is guarded by.
Put = Callable[[Sequence[Guarded]], Awaitable[int]]


class Charge(Protocol):
    """What a write costs its namespace, or takes of a node."""

    async def settle(self, put: Put) -> int:
        """Stores the object by `put`, together with what says that it is paid for; returns the revision."""
        ...


@dataclass
class Admission:
    """One write on its way to the store.

    Attributes:
        kind: kind of the object.
        operation: CREATE, UPDATE, DELETE or STATUS.
        user: who writes.
        obj: the object; plugins may change it, except for DELETE.
        old: what it was before; None for CREATE.
        warnings: told to the writer.
        charge: what the write costs its namespace, or takes of a node; None: nothing that anybody counts.
        notes: told to the audit log, by name.
    """

    kind: Kind
    operation: str
    user: User
    obj: Any
    old: Any | None = None
    warnings: list[str] = field(default_factory=list)
    charge: Charge | None = None
    notes: dict[str, str] = field(default_factory=dict)


class Plugin(Protocol):
    """Looks at every write; changes it, refuses it by a domain error, or lets it pass."""

    async def admit(self, write: Admission) -> None:
        """Admits a write, or raises.

        Raises:
            ApiserverError: the write is refused; it says why.
        """
        ...
