"""Endpoints."""

from __future__ import annotations

from typing import Any

from steersman.core.v1.endpoints_pb2 import Endpoints
from steersman.defaulting import networking as defaulting
from steersman.errors import FieldViolation
from steersman.validation import endpoints as validation

from apiserver.strategy import Strategy


class EndpointsStrategy(Strategy):
    """Defaults and rules."""

    message = Endpoints

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.endpoints(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.endpoints(obj)
