"""Rules of PodDisruptionBudgets."""

from __future__ import annotations

from typing import Any

from steersman.errors import FieldViolation
from steersman.validation import meta
from steersman.validation.meta import not_negative, one_of
from steersman.validation.names import violation
from steersman.validation.workload import count_or_percentage


def budget(obj: Any) -> list[FieldViolation]:
    """What is wrong with a PodDisruptionBudget."""
    spec = obj.spec
    found: list[FieldViolation] = []
    if spec.HasField("min_available") and spec.HasField("max_unavailable"):
        found += violation("spec", "minAvailable and maxUnavailable may not be given together")
    for name, shown in (("min_available", "minAvailable"), ("max_unavailable", "maxUnavailable")):
        if spec.HasField(name):
            found += at_most_all(f"spec.{shown}", getattr(spec, name))
    found += meta.selector("spec.selector", spec.selector)
    if spec.HasField("unhealthy_pod_eviction_policy"):
        policies = ("IfHealthyBudget", "AlwaysAllow")
        found += one_of("spec.unhealthyPodEvictionPolicy", spec.unhealthy_pod_eviction_policy, policies)
    return found


def at_most_all(field: str, value: Any) -> list[FieldViolation]:
    """A number that is not negative, or a percentage of at most 100."""
    found = count_or_percentage(field, value)
    if not found and value.type == 1 and int(value.str_val.removesuffix("%")) > 100:
        found = violation(field, f"{value.str_val} is more than 100%")
    return found


def budget_status(status: Any) -> list[FieldViolation]:
    """What is wrong with a budget's status."""
    found: list[FieldViolation] = []
    for name in ("disruptions_allowed", "current_healthy", "desired_healthy", "expected_pods"):
        found += not_negative(f"status.{status.DESCRIPTOR.fields_by_name[name].json_name}", getattr(status, name))
    return found
