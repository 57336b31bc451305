"""StorageClasses."""

from __future__ import annotations

from typing import Any

from steersman.defaulting import storage as defaulting
from steersman.errors import FieldViolation
from steersman.storage.v1.storage_class_pb2 import StorageClass
from steersman.validation import storage as validation

from apiserver.strategy import Strategy


class StorageClassStrategy(Strategy):
    """Defaults and rules."""

    message = StorageClass

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.storage_class(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.storage_class(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return validation.storage_class_update(new, old)
