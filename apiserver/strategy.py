"""What a kind decides for itself. Everything here is pure.

For a write the hooks run in this order, whatever the kind:

    create:  prepare_create -> default -> (admission) -> validate -> validate_create
    update:  default -> prepare_update -> (admission) -> validate -> validate_update
    status:  prepare_status_update -> validate_status_update

A kind is its proto and a subclass in `strategies/`; the base class is right for a kind without rules of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from steersman.errors import FieldViolation

from apiserver import unacted


@dataclass(frozen=True)
class ServiceRange:
    """Addresses and ports that Services are given out of."""

    cluster_cidr: str = "10.96.0.0/16"
    node_port_low: int = 30000
    node_port_high: int = 32767


@dataclass(frozen=True)
class Wanted:
    """A value out of a shared range that an object needs.

    Attributes:
        range: "clusterips" or "nodeports".
        value: the one it wants; empty: any free one.
        put: writes the value that it got into the object.
    """

    range: str
    value: str
    put: Callable[[Any, str], None]


@dataclass(frozen=True)
class View:
    """How objects that are stored as another kind are seen, so that both show the same objects.

    Attributes:
        stored: message class of the kind that is stored.
        shown_of: the bytes of an object of this kind out of the bytes of what is stored.
        stored_of: and back.
    """

    stored: type[Any]
    shown_of: Callable[[bytes], bytes]
    stored_of: Callable[[bytes], bytes]


class Strategy:
    """Rules of one kind; objects are messages of that kind."""

    message: ClassVar[type[Any]]
    """Message class of the kind."""

    fields: ClassVar[Mapping[str, Callable[[Any], str]]] = {}
    """Fields by which objects can be selected, besides metadata.name and metadata.namespace."""

    registers_with_status: ClassVar[bool] = False
    """Whether objects may be created with their status, as nodes are."""

    view: ClassVar[View | None] = None
    """Where the objects come from, when they are those of another kind."""

    dependents: ClassVar[str] = ""
    """What becomes of what an object owns when its deletion says nothing: "Orphan"; empty: deleted afterwards."""

    indexed: ClassVar[tuple[str, ...]] = ()
    """Fields by which watchers are found: those of which many watchers each want one value."""

    def facts(self, obj: Any) -> Any:
        """What the apiserver itself wants to know of every stored object, kept beside it in the cache."""
        return None

    def default(self, obj: Any) -> None:
        """Fills in what was left out, as Kubernetes does."""

    def prepare_create(self, obj: Any) -> None:
        """Drops what a creator may not set."""
        if "status" in obj.DESCRIPTOR.fields_by_name:
            obj.ClearField("status")

    def prepare_update(self, new: Any, old: Any) -> None:
        """Drops what an update may not change; status is the old one already."""

    def prepare_status_update(self, new: Any, old: Any) -> None:
        """Drops what a status update may not change; only metadata's labels are not the old ones."""

    def validate(self, obj: Any) -> list[FieldViolation]:
        """Everything wrong with an object (metadata is checked for all kinds elsewhere)."""
        return []

    def validate_create(self, obj: Any) -> list[FieldViolation]:
        """Everything wrong with a new object that an old one may have."""
        return []

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """Everything that may not change the way it does."""
        return []

    def validate_status_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """Everything wrong with a new status."""
        return []

    def validate_name(self, name: str) -> list[FieldViolation]:
        """What is wrong with an object's name."""
        from steersman.validation.names import subdomain

        return subdomain("metadata.name", name)

    def warnings(self, obj: Any) -> list[str]:
        """What a writer should know: that the kind, or a field of it, is stored and not acted on."""
        return unacted.warnings(obj.DESCRIPTOR.full_name)

    def grace_period_s(self, obj: Any, wanted: int | None) -> int:
        """Seconds between the request to delete an object and its removal; 0: remove at once."""
        return 0

    def claims(self, obj: Any, old: Any | None) -> list[Wanted]:
        """Values out of shared ranges that the object needs and does not hold yet."""
        return []

    def held(self, obj: Any) -> list[tuple[str, str]]:
        """(range, value) of every value out of a shared range that the object holds."""
        return []

    def generation_counts(self, new: Any, old: Any) -> bool:
        """Whether a change is one of the wish, so that `metadata.generation` counts it."""
        if "spec" not in new.DESCRIPTOR.fields_by_name:
            return False
        return bool(new.spec != old.spec)
