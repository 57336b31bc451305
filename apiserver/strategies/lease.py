"""Leases."""

from __future__ import annotations

from typing import Any

from steersman.coordination.v1.lease_pb2 import Lease
from steersman.errors import FieldViolation
from steersman.validation import lease as validation

from apiserver.strategy import Strategy


class LeaseStrategy(Strategy):
    """Rules."""

    message = Lease

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.lease(obj)

    def generation_counts(self, new: Any, old: Any) -> bool:
        """Leases have no generation."""
        return False
