"""EndpointSlices."""

from __future__ import annotations

from typing import Any

from steersman.defaulting import networking as defaulting
from steersman.discovery.v1.endpoint_slice_pb2 import EndpointSlice
from steersman.errors import FieldViolation
from steersman.validation import endpoint_slice as validation
from steersman.validation.names import violation

from apiserver.strategy import Strategy


class EndpointSliceStrategy(Strategy):
    """Defaults and rules."""

    message = EndpointSlice

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.endpoint_slice(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.endpoint_slice(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return [] if new.address_type == old.address_type else violation("addressType", "may not change")

    def generation_counts(self, new: Any, old: Any) -> bool:
        """The generation counts every change but one of metadata."""
        return bool(new.endpoints != old.endpoints or new.ports != old.ports)
