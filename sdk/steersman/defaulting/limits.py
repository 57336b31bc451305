"""Defaults of LimitRanges and PriorityClasses."""

from __future__ import annotations

from typing import Any


def limit_range(obj: Any) -> None:
    """What is not said of containers follows from what is: the default from max, the request from default or min."""
    for item in obj.spec.limits:
        if item.type != "Container":
            continue
        for name, amount in item.max.items():
            if name not in item.default:
                item.default[name].value = amount.value
        for name, amount in item.default.items():
            if name not in item.default_request:
                item.default_request[name].value = amount.value
        for name, amount in item.min.items():
            if name not in item.default_request:
                item.default_request[name].value = amount.value


def priority_class(obj: Any) -> None:
    """Pods of a class push out others."""
    if not obj.preemption_policy:
        obj.preemption_policy = "PreemptLowerPriority"
