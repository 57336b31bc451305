"""Secrets."""

from __future__ import annotations

from typing import Any, ClassVar

from steersman.core.v1.secret_pb2 import Secret
from steersman.defaulting import configuration as defaulting
from steersman.errors import FieldViolation
from steersman.validation import configuration as validation
from steersman.validation.names import violation

from apiserver.strategy import Strategy


class SecretStrategy(Strategy):
    """Rules; what is written as text is kept as bytes."""

    message = Secret
    fields: ClassVar = {"type": lambda secret: str(secret.type)}

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.secret(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.secret(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        found = validation.immutable(new, old, "data")
        if new.type != old.type:
            found += violation("type", "may not change")
        return found
