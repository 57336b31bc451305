"""PersistentVolumes."""

from __future__ import annotations

from typing import Any

from steersman.core.v1.persistent_volume_pb2 import PersistentVolume
from steersman.defaulting import volume as defaulting
from steersman.errors import FieldViolation
from steersman.validation import volume as validation

from apiserver.strategy import Strategy


class PersistentVolumeStrategy(Strategy):
    """Defaults and rules."""

    message = PersistentVolume

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.volume(obj)

    def prepare_create(self, obj: Any) -> None:
        """A new volume is nobody's yet."""
        obj.ClearField("status")
        obj.status.phase = "Pending"

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.volume(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return validation.volume_update(new, old)

    def generation_counts(self, new: Any, old: Any) -> bool:
        """Volumes have no generation."""
        return False
