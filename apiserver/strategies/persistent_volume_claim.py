"""PersistentVolumeClaims."""

from __future__ import annotations

from typing import Any

from steersman.core.v1.persistent_volume_claim_pb2 import PersistentVolumeClaim
from steersman.defaulting import volume as defaulting
from steersman.errors import FieldViolation
from steersman.validation import claim as validation

from apiserver.strategy import Strategy


class PersistentVolumeClaimStrategy(Strategy):
    """Defaults and rules."""

    message = PersistentVolumeClaim

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.claim(obj)

    def prepare_create(self, obj: Any) -> None:
        """A new claim is bound to nothing."""
        obj.ClearField("status")
        obj.status.phase = "Pending"

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.claim(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return validation.claim_update(new, old)

    def generation_counts(self, new: Any, old: Any) -> bool:
        """Claims have no generation."""
        return False
