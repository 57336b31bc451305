"""What the agent counts and measures, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SHORT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_LONG_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The agent's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.pods = Gauge("nodeagent_pods", "Pods that the agent has a worker for.", registry=self.registry)
        self.containers_running = Gauge(
            "nodeagent_running_containers", "Containers that run, as of the last listing.", registry=self.registry
        )
        self.restarts = Counter(
            "nodeagent_container_restarts_total", "Containers started again after they ended.", registry=self.registry
        )
        self.plan_s = Histogram(
            "nodeagent_pod_plan_duration_seconds",
            "Looking at a pod and deciding what to do.",
            buckets=_SHORT_S,
            registry=self.registry,
        )
        self.execute_s = Histogram(
            "nodeagent_pod_execute_duration_seconds",
            "Carrying out one action of a plan.",
            ["action"],
            buckets=_LONG_S,
            registry=self.registry,
        )
        self.runtime_s = Histogram(
            "nodeagent_runtime_call_duration_seconds",
            "Calls to the container runtime.",
            ["call"],
            buckets=_LONG_S,
            registry=self.registry,
        )
        self.runtime_errors = Counter(
            "nodeagent_runtime_call_errors_total",
            "Calls to the container runtime that failed.",
            ["call", "code"],
            registry=self.registry,
        )
        self.pod_start_s = Histogram(
            "nodeagent_pod_start_duration_seconds",
            "From the first sight of a pod to all of its containers running.",
            buckets=_LONG_S,
            registry=self.registry,
        )
        self.status_writes = Counter(
            "nodeagent_status_writes_total", "Pod statuses written.", ["result"], registry=self.registry
        )
        self.heartbeats = Counter(
            "nodeagent_heartbeats_total", "Renewals of the node's lease.", ["result"], registry=self.registry
        )
