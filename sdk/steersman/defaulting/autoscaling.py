"""Defaults of HorizontalPodAutoscalers."""

from __future__ import annotations

from typing import Any

CPU_PERCENT = 80
PERIOD_S = 15
UP_PODS, UP_PERCENT, DOWN_PERCENT = 4, 100, 100


def autoscaler(obj: Any) -> None:
    """Fills in a HorizontalPodAutoscaler."""
    spec = obj.spec
    if not spec.HasField("min_replicas"):
        spec.min_replicas = 1
    if not spec.metrics:
        metric = spec.metrics.add(type="Resource")
        metric.resource.name = "cpu"
        metric.resource.target.type = "Utilization"
        metric.resource.target.average_utilization = CPU_PERCENT
    if not spec.HasField("behavior"):
        return
    up, down = spec.behavior.scale_up, spec.behavior.scale_down
    if not up.HasField("stabilization_window_seconds"):
        up.stabilization_window_seconds = 0
    for rules, policies in (
        (up, (("Pods", UP_PODS), ("Percent", UP_PERCENT))),
        (down, (("Percent", DOWN_PERCENT),)),
    ):
        if not rules.HasField("select_policy"):
            rules.select_policy = "Max"
        if not rules.policies:
            for kind, value in policies:
                rules.policies.add(type=kind, value=value, period_seconds=PERIOD_S)
