"""Namespaces: held by a finalizer until everything in them is gone."""

from __future__ import annotations

from typing import Any, ClassVar

from steersman.core.v1.namespace_pb2 import Namespace
from steersman.errors import FieldViolation
from steersman.validation import names

from apiserver.strategy import Strategy

FINALIZER = "kubernetes"
NAME_LABEL = "kubernetes.io/metadata.name"


class NamespaceStrategy(Strategy):
    """Phase, finalizer, the label with the name."""

    message = Namespace
    fields: ClassVar = {
        "status.phase": lambda namespace: (
            "Terminating" if namespace.metadata.HasField("deletion_timestamp") else str(namespace.status.phase)
        ),
    }

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        obj.metadata.labels[NAME_LABEL] = obj.metadata.name

    def prepare_create(self, obj: Any) -> None:
        """A new namespace is active, and held."""
        obj.status.Clear()
        obj.status.phase = "Active"
        if FINALIZER not in obj.spec.finalizers:
            obj.spec.finalizers.append(FINALIZER)

    def prepare_update(self, new: Any, old: Any) -> None:
        """The hold is given up only by a namespace that is being deleted."""
        if not old.metadata.HasField("deletion_timestamp"):
            new.spec.CopyFrom(old.spec)
        elif not new.HasField("spec") and old.spec.finalizers:
            new.spec.SetInParent()

    def prepare_status_update(self, new: Any, old: Any) -> None:
        """A namespace that is being deleted is Terminating, whatever anybody says."""
        if new.metadata.HasField("deletion_timestamp"):
            new.status.phase = "Terminating"

    def validate_name(self, name: str) -> list[FieldViolation]:
        """See `Strategy.validate_name`."""
        return names.label_1123("metadata.name", name)

    def generation_counts(self, new: Any, old: Any) -> bool:
        """Namespaces have no generation."""
        return False
