"""IngressClasses."""

from __future__ import annotations

from typing import Any

from steersman.defaulting import networking as defaulting
from steersman.errors import FieldViolation
from steersman.networking.v1.ingress_class_pb2 import IngressClass
from steersman.validation import ingress as validation
from steersman.validation.names import violation

from apiserver.strategy import Strategy


class IngressClassStrategy(Strategy):
    """Defaults and rules."""

    message = IngressClass

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.ingress_class(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.ingress_class(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        same = new.spec.controller == old.spec.controller
        return [] if same else violation("spec.controller", "may not change")
