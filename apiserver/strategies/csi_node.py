"""CSINodes."""

from __future__ import annotations

from typing import Any

from steersman.errors import FieldViolation
from steersman.storage.v1.csi_node_pb2 import CSINode
from steersman.validation import storage as validation

from apiserver.strategy import Strategy


class CSINodeStrategy(Strategy):
    """Rules."""

    message = CSINode

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.csi_node(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return validation.csi_node_update(new, old)

    def generation_counts(self, new: Any, old: Any) -> bool:
        """CSINodes have no generation."""
        return False
