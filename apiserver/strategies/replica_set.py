"""ReplicaSets."""

from __future__ import annotations

from typing import Any, ClassVar

from steersman.apps.v1.replica_set_pb2 import ReplicaSet
from steersman.defaulting import workload as defaulting
from steersman.errors import FieldViolation
from steersman.validation import workload as validation

from apiserver.strategy import Strategy


class ReplicaSetStrategy(Strategy):
    """Defaults and rules."""

    message = ReplicaSet
    fields: ClassVar = {"status.replicas": lambda obj: str(obj.status.replicas)}

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.replica_set(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.replica_set(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return validation.selector_unchanged(new, old)
