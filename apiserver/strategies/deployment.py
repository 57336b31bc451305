"""Deployments."""

from __future__ import annotations

from typing import Any

from steersman.apps.v1.deployment_pb2 import Deployment
from steersman.defaulting import workload as defaulting
from steersman.errors import FieldViolation
from steersman.validation import workload as validation

from apiserver.strategy import Strategy


class DeploymentStrategy(Strategy):
    """Defaults and rules."""

    message = Deployment

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.deployment(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.deployment(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return validation.selector_unchanged(new, old)
