"""ResourceQuotas, LimitRanges and PriorityClasses. What they do: admission/."""

from __future__ import annotations

from typing import Any

from steersman.core.v1.limit_range_pb2 import LimitRange
from steersman.core.v1.resource_quota_pb2 import ResourceQuota
from steersman.defaulting import limits as defaulting
from steersman.errors import FieldViolation
from steersman.scheduling.v1.priority_class_pb2 import PriorityClass
from steersman.validation import limits as validation
from steersman.validation.names import violation

from apiserver.strategy import Strategy


class ResourceQuotaStrategy(Strategy):
    """What a quota counts stays; how much it allows may change."""

    message = ResourceQuota

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.resource_quota(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        found: list[FieldViolation] = []
        if new.spec.scopes != old.spec.scopes:
            found += violation("spec.scopes", "may not change")
        if new.spec.scope_selector != old.spec.scope_selector:
            found += violation("spec.scopeSelector", "may not change")
        return found

    def generation_counts(self, new: Any, old: Any) -> bool:
        """Quotas have no generation."""
        return False


class LimitRangeStrategy(Strategy):
    """A container's limit is by default the most that it may have, its request by default its limit."""

    message = LimitRange

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.limit_range(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.limit_range(obj)

    def generation_counts(self, new: Any, old: Any) -> bool:
        """Limit ranges have no generation."""
        return False


class PriorityClassStrategy(Strategy):
    """A class means the same for ever."""

    message = PriorityClass

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.priority_class(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.priority_class(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        found: list[FieldViolation] = []
        if new.value != old.value:
            found += violation("value", f"may not change from {old.value}")
        if new.preemption_policy != old.preemption_policy:
            found += violation("preemptionPolicy", f"may not change from {old.preemption_policy}")
        return found
