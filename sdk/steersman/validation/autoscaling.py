"""Rules of HorizontalPodAutoscalers."""

from __future__ import annotations

import re
from typing import Any

from steersman import quantity
from steersman.errors import FieldViolation
from steersman.validation import meta
from steersman.validation.meta import one_of
from steersman.validation.names import show, violation

STABILIZATION_S_MAX = 3600
PERIOD_S_MAX = 1800
_SEGMENT = re.compile(r"(?!\.{1,2}$)[^/%]+")

# Types of metrics, with the field of each and the targets that make sense for it.
METRICS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Resource": ("resource", ("Utilization", "AverageValue")),
    "ContainerResource": ("container_resource", ("Utilization", "AverageValue")),
    "Pods": ("pods", ("AverageValue",)),
    "Object": ("object", ("Value", "AverageValue")),
    "External": ("external", ("Value", "AverageValue")),
}
_TARGETS = {"Utilization": "average_utilization", "Value": "value", "AverageValue": "average_value"}


def autoscaler(obj: Any) -> list[FieldViolation]:
    """What is wrong with a HorizontalPodAutoscaler."""
    spec = obj.spec
    least = 0 if any(metric.type in ("Object", "External") for metric in spec.metrics) else 1
    found: list[FieldViolation] = []
    if spec.min_replicas < least:
        why = "" if least == 0 else "; 0 needs a metric of type Object or External"
        found += violation("spec.minReplicas", f"{spec.min_replicas} is less than {least}{why}")
    if spec.max_replicas < 1:
        found += violation("spec.maxReplicas", f"{spec.max_replicas} is less than 1")
    elif spec.max_replicas < spec.min_replicas:
        found += violation("spec.maxReplicas", f"{spec.max_replicas} is less than minReplicas, {spec.min_replicas}")
    found += _reference("spec.scaleTargetRef", spec.scale_target_ref)
    for index, metric in enumerate(spec.metrics):
        found += _metric(f"spec.metrics[{index}]", metric)
    if spec.HasField("behavior"):
        found += _rules("spec.behavior.scaleUp", spec.behavior.scale_up)
        found += _rules("spec.behavior.scaleDown", spec.behavior.scale_down)
    return found


def _segment(field: str, value: str) -> list[FieldViolation]:
    if not value:
        return violation(field, "required")
    return [] if _SEGMENT.fullmatch(value) else violation(field, f"{show(value)} is not a part of a path")


def _reference(field: str, reference: Any) -> list[FieldViolation]:
    return _segment(f"{field}.kind", reference.kind) + _segment(f"{field}.name", reference.name)


def _metric(field: str, metric: Any) -> list[FieldViolation]:
    found = one_of(f"{field}.type", metric.type, tuple(METRICS))
    if found:
        return found
    name, targets = METRICS[metric.type]
    for other, _ in metric.ListFields():
        if other.name not in ("type", name):
            found += violation(f"{field}.{other.json_name}", f"not allowed in a metric of type {metric.type}")
    here = f"{field}.{metric.DESCRIPTOR.fields_by_name[name].json_name}"
    if not metric.HasField(name):
        return found + violation(here, f"required in a metric of type {metric.type}")
    source = getattr(metric, name)
    known = source.DESCRIPTOR.fields_by_name
    for part in ("name", "container"):
        if part in known and not getattr(source, part):
            found += violation(f"{here}.{part}", "required")
    if "metric" in known:
        found += _segment(f"{here}.metric.name", source.metric.name)
        found += meta.selector(f"{here}.metric.selector", source.metric.selector)
    if "described_object" in known:
        found += _reference(f"{here}.describedObject", source.described_object)
    return found + _target(f"{here}.target", source.target, targets)


def _target(field: str, target: Any, targets: tuple[str, ...]) -> list[FieldViolation]:
    found = one_of(f"{field}.type", target.type, targets)
    given = [kind for kind, name in _TARGETS.items() if target.HasField(name)]
    for kind in given:
        name = _TARGETS[kind]
        here = f"{field}.{target.DESCRIPTOR.fields_by_name[name].json_name}"
        found += _figure(here, getattr(target, name), whole=kind == "Utilization")
        if kind not in targets:
            found += violation(here, f"makes no sense here: the target is one of {', '.join(targets)}")
    wanted = _TARGETS.get(target.type)
    if wanted is not None and not target.HasField(wanted):
        here = f"{field}.{target.DESCRIPTOR.fields_by_name[wanted].json_name}"
        found += violation(here, f"required where the type is {target.type}")
    if len(given) > 1:
        found += violation(field, f"needs exactly one figure, {len(given)} are given")
    return found


def _figure(field: str, value: Any, *, whole: bool) -> list[FieldViolation]:
    if whole:
        return [] if value > 0 else violation(field, f"{value} is not greater than 0")
    try:
        positive = quantity.parse(value.value) > 0
    except ValueError as error:
        return violation(field, str(error))
    return [] if positive else violation(field, f"{value.value} is not greater than 0")


def _rules(field: str, rules: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    window_s = rules.stabilization_window_seconds
    if not 0 <= window_s <= STABILIZATION_S_MAX:
        found += violation(f"{field}.stabilizationWindowSeconds", f"{window_s} is not from 0 to {STABILIZATION_S_MAX}")
    found += one_of(f"{field}.selectPolicy", rules.select_policy, ("Max", "Min", "Disabled"))
    if rules.HasField("tolerance"):
        try:
            if quantity.parse(rules.tolerance.value) < 0:
                found += violation(f"{field}.tolerance", f"{rules.tolerance.value} is negative")
        except ValueError as error:
            found += violation(f"{field}.tolerance", str(error))
    for index, policy in enumerate(rules.policies):
        here = f"{field}.policies[{index}]"
        found += one_of(f"{here}.type", policy.type, ("Pods", "Percent"))
        if policy.value < 1:
            found += violation(f"{here}.value", f"{policy.value} is less than 1")
        if not 0 < policy.period_seconds <= PERIOD_S_MAX:
            found += violation(f"{here}.periodSeconds", f"{policy.period_seconds} is not from 1 to {PERIOD_S_MAX}")
    return found
