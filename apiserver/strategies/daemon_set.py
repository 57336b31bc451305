"""DaemonSets."""

from __future__ import annotations

from typing import Any

from steersman.apps.v1.daemon_set_pb2 import DaemonSet
from steersman.defaulting import workload as defaulting
from steersman.errors import FieldViolation
from steersman.validation import workload as validation

from apiserver.strategy import Strategy


class DaemonSetStrategy(Strategy):
    """Defaults and rules."""

    message = DaemonSet

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.daemon_set(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.daemon_set(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return validation.selector_unchanged(new, old)

    def validate_status_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_status_update`."""
        return validation.daemon_set_status(new, old)
