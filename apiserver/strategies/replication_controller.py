"""ReplicationControllers."""

from __future__ import annotations

from typing import Any, ClassVar

from steersman.core.v1.replication_controller_pb2 import ReplicationController
from steersman.defaulting import workload as defaulting
from steersman.errors import FieldViolation
from steersman.validation import workload as validation

from apiserver.strategy import Strategy


class ReplicationControllerStrategy(Strategy):
    """Defaults and rules."""

    message = ReplicationController
    dependents = "Orphan"
    fields: ClassVar = {"status.replicas": lambda obj: str(obj.status.replicas)}

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.replication_controller(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.replication_controller(obj)

    def validate_status_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_status_update`."""
        return validation.replication_controller_status(new, old)
