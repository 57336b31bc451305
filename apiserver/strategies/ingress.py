"""Ingresses."""

from __future__ import annotations

from typing import Any

from steersman.errors import FieldViolation
from steersman.networking.v1.ingress_pb2 import Ingress
from steersman.validation import ingress as validation

from apiserver.strategy import Strategy


class IngressStrategy(Strategy):
    """Rules."""

    message = Ingress

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.ingress(obj)

    def validate_create(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate_create`."""
        return validation.created(obj)

    def validate_status_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_status_update`."""
        return validation.ingress_status(new.status)
