"""StatefulSets."""

from __future__ import annotations

from typing import Any

from steersman.apps.v1.stateful_set_pb2 import StatefulSet
from steersman.defaulting import workload as defaulting
from steersman.errors import FieldViolation
from steersman.validation import names
from steersman.validation import workload as validation

from apiserver.strategy import Strategy


class StatefulSetStrategy(Strategy):
    """Defaults and rules."""

    message = StatefulSet

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.stateful_set(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.stateful_set(obj)

    def validate_create(self, obj: Any) -> list[FieldViolation]:
        """The names of the pods are made of the set's, and are DNS labels."""
        return names.label_1123("metadata.name", obj.metadata.name)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return validation.stateful_set_update(new, old)

    def validate_status_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_status_update`."""
        return validation.stateful_set_status(new, old)
