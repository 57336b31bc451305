"""ConfigMaps."""

from __future__ import annotations

from typing import Any

from steersman.core.v1.config_map_pb2 import ConfigMap
from steersman.errors import FieldViolation
from steersman.validation import configuration as validation

from apiserver.strategy import Strategy


class ConfigMapStrategy(Strategy):
    """Rules."""

    message = ConfigMap

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.config_map(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return validation.immutable(new, old, "data", "binary_data")
