"""RuntimeClasses."""

from __future__ import annotations

from typing import Any

from steersman.errors import FieldViolation
from steersman.node.v1.runtime_class_pb2 import RuntimeClass
from steersman.validation import runtime_class as validation
from steersman.validation.names import violation

from apiserver.strategy import Strategy


class RuntimeClassStrategy(Strategy):
    """Rules."""

    message = RuntimeClass

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.runtime_class(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return [] if new.handler == old.handler else violation("handler", "may not change")
