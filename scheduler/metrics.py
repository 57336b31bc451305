"""What the scheduler counts, under kube-scheduler's names where it has the same thing."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_FINE = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1)
_COARSE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60)


class Metrics:
    """The metrics of one scheduler."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempts = Counter("scheduler_schedule_attempts", "decisions, by outcome", ["result"], registry=registry)
        self.decision = Histogram(
            "scheduler_scheduling_algorithm_duration_seconds",
            "time of one decision",
            registry=registry,
            buckets=_FINE,
        )
        self.binding = Histogram(
            "scheduler_binding_duration_seconds", "time of one binding", registry=registry, buckets=_COARSE
        )
        self.waited = Histogram(
            "scheduler_pod_scheduling_sli_duration_seconds",
            "time from a pod's first being seen to its placement",
            registry=registry,
            buckets=_COARSE,
        )
        self.pending = Gauge("scheduler_pending_pods", "pods that wait, by state", ["queue"], registry=registry)
        self.assumed = Gauge(
            "scheduler_assumed_pods", "pods placed whose binding was not seen back yet", registry=registry
        )
        self.nodes = Gauge("scheduler_nodes", "nodes that are known", registry=registry)
