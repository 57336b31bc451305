"""PodDisruptionBudgets."""

from __future__ import annotations

from typing import Any

from steersman.errors import FieldViolation
from steersman.policy.v1.pod_disruption_budget_pb2 import PodDisruptionBudget
from steersman.validation import disruption as validation

from apiserver.strategy import Strategy


class PodDisruptionBudgetStrategy(Strategy):
    """Rules."""

    message = PodDisruptionBudget

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.budget(obj)

    def validate_status_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_status_update`."""
        return validation.budget_status(new.status)
