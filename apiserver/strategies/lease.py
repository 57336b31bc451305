"""Leases."""

from __future__ import annotations

from typing import Any

from steersman.coordination.v1.lease_pb2 import Lease
from steersman.errors import FieldViolation
from steersman.validation.names import violation

from apiserver.strategy import Strategy


class LeaseStrategy(Strategy):
    """Rules."""

    message = Lease

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        spec = obj.spec
        found: list[FieldViolation] = []
        if spec.HasField("lease_duration_seconds") and spec.lease_duration_seconds < 1:
            found += violation("spec.leaseDurationSeconds", f"{spec.lease_duration_seconds} is less than 1")
        if spec.HasField("lease_transitions") and spec.lease_transitions < 0:
            found += violation("spec.leaseTransitions", f"{spec.lease_transitions} is negative")
        return found

    def generation_counts(self, new: Any, old: Any) -> bool:
        """Leases have no generation."""
        return False
