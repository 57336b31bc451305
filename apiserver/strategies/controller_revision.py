"""ControllerRevisions."""

from __future__ import annotations

from typing import Any

from steersman.apps.v1.controller_revision_pb2 import ControllerRevision
from steersman.errors import FieldViolation
from steersman.validation import workload as validation
from steersman.validation.names import violation

from apiserver.strategy import Strategy


class ControllerRevisionStrategy(Strategy):
    """Rules; what was remembered stays as it was."""

    message = ControllerRevision

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.controller_revision(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return [] if new.data == old.data else violation("data", "may not change")
