"""VolumeAttachments."""

from __future__ import annotations

from typing import Any

from steersman.errors import FieldViolation
from steersman.storage.v1.volume_attachment_pb2 import VolumeAttachment
from steersman.validation import storage as validation
from steersman.validation.names import violation

from apiserver.strategy import Strategy


class VolumeAttachmentStrategy(Strategy):
    """Rules; what is wanted does not change."""

    message = VolumeAttachment

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.attachment(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return [] if new.spec == old.spec else violation("spec", "may not change")

    def validate_status_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_status_update`."""
        return validation.attachment_status(new.status)
