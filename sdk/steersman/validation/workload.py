"""Rules of the kinds that make pods."""

from __future__ import annotations

import re
from typing import Any

from steersman.errors import FieldViolation
from steersman.selectors import SelectorError, of_message
from steersman.validation import meta, names
from steersman.validation.meta import not_negative, one_of
from steersman.validation.names import violation
from steersman.validation.pod import pod_spec

_PERCENT = re.compile(r"\d{1,3}%")


def selector_and_template(spec: Any) -> list[FieldViolation]:
    """What is wrong with a selector, a template, or with both together."""
    found = meta.selector("spec.selector", spec.selector)
    if not spec.selector.match_labels and not spec.selector.match_expressions:
        found += violation("spec.selector", "required: it says which pods belong to this object")
    else:
        try:
            fits = of_message(spec.selector).matches(spec.template.metadata.labels)
        except SelectorError:
            fits = True
        if not fits:
            found += violation("spec.template.metadata.labels", "do not match spec.selector")
    found += names.labels("spec.template.metadata.labels", spec.template.metadata.labels)
    found += names.annotation_map("spec.template.metadata.annotations", spec.template.metadata.annotations)
    found += pod_spec("spec.template.spec", spec.template.spec)
    if spec.template.spec.restart_policy != "Always":
        found += violation("spec.template.spec.restartPolicy", "must be Always: these pods are kept running")
    if spec.template.spec.HasField("active_deadline_seconds"):
        found += violation("spec.template.spec.activeDeadlineSeconds", "not allowed: these pods are kept running")
    return found


def count_or_percentage(field: str, value: Any) -> list[FieldViolation]:
    """A number that is not negative, or a percentage."""
    if value.type == 1:
        return [] if _PERCENT.fullmatch(value.str_val) else violation(field, f"{value.str_val!r} is not a percentage")
    return not_negative(field, value.int_val)


def deployment(obj: Any) -> list[FieldViolation]:
    """What is wrong with a Deployment."""
    spec = obj.spec
    found = not_negative("spec.replicas", spec.replicas)
    found += selector_and_template(spec)
    found += one_of("spec.strategy.type", spec.strategy.type, ("RollingUpdate", "Recreate"))
    if spec.strategy.type == "Recreate" and spec.strategy.HasField("rolling_update"):
        found += violation("spec.strategy.rollingUpdate", "not allowed where the type is Recreate")
    if spec.strategy.type == "RollingUpdate":
        rolling = spec.strategy.rolling_update
        found += count_or_percentage("spec.strategy.rollingUpdate.maxUnavailable", rolling.max_unavailable)
        found += count_or_percentage("spec.strategy.rollingUpdate.maxSurge", rolling.max_surge)
        if _is_zero(rolling.max_unavailable) and _is_zero(rolling.max_surge):
            field = "spec.strategy.rollingUpdate.maxUnavailable"
            found += violation(field, "may not be 0 where maxSurge is 0: nothing could ever be replaced")
    found += not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    found += not_negative("spec.revisionHistoryLimit", spec.revision_history_limit)
    if spec.progress_deadline_seconds <= spec.min_ready_seconds:
        found += violation("spec.progressDeadlineSeconds", "must be greater than minReadySeconds")
    return found


def _is_zero(value: Any) -> bool:
    return bool(value.str_val == "0%" if value.type == 1 else value.int_val == 0)


def replica_set(obj: Any) -> list[FieldViolation]:
    """What is wrong with a ReplicaSet."""
    found = not_negative("spec.replicas", obj.spec.replicas)
    found += not_negative("spec.minReadySeconds", obj.spec.min_ready_seconds)
    return found + selector_and_template(obj.spec)


def selector_unchanged(new: Any, old: Any) -> list[FieldViolation]:
    """The selector may not change."""
    return [] if new.spec.selector == old.spec.selector else violation("spec.selector", "may not change")
