"""CSIDrivers."""

from __future__ import annotations

from typing import Any

from steersman.defaulting import storage as defaulting
from steersman.errors import FieldViolation
from steersman.storage.v1.csi_driver_pb2 import CSIDriver
from steersman.validation import storage as validation
from steersman.validation.volume import driver

from apiserver.strategy import Strategy


class CSIDriverStrategy(Strategy):
    """Defaults and rules."""

    message = CSIDriver

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.csi_driver(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.csi_driver(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return validation.csi_driver_update(new, old)

    def validate_name(self, name: str) -> list[FieldViolation]:
        """See `Strategy.validate_name`."""
        return driver("metadata.name", name)
