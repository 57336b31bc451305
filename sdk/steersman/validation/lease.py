"""Rules of leases."""

from __future__ import annotations

from typing import Any

from steersman.errors import FieldViolation
from steersman.validation.names import violation


def lease(obj: Any) -> list[FieldViolation]:
    """What is wrong with a lease."""
    spec = obj.spec
    found: list[FieldViolation] = []
    if spec.HasField("lease_duration_seconds") and spec.lease_duration_seconds < 1:
        found += violation("spec.leaseDurationSeconds", f"{spec.lease_duration_seconds} is less than 1")
    if spec.HasField("lease_transitions") and spec.lease_transitions < 0:
        found += violation("spec.leaseTransitions", f"{spec.lease_transitions} is negative")
    return found
