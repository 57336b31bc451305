"""What netproxy counts, under kube-proxy's names where it has the same thing."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The metrics of one netproxy."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "kubeproxy_sync_proxy_rules"
        self.duration = Histogram(
            f"{prefix}_duration_seconds",
            "time from the beginning of a sync to the kernel's answer",
            registry=registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8),
        )
        self.last = Gauge(f"{prefix}_last_timestamp_seconds", "when the last sync succeeded", registry=registry)
        self.rules = Gauge(f"{prefix}_iptables_total", "rules in force", ["table"], registry=registry)
        self.written = Counter(f"{prefix}_iptables_restores", "inputs given to iptables-restore", registry=registry)
        self.failures = Counter(
            f"{prefix}_iptables_restore_failures", "inputs that iptables-restore refused", registry=registry
        )
        self.repairs = Counter(
            "netproxy_rule_repairs", "times the rules were found changed by others and made anew", registry=registry
        )
        self.services = Gauge("netproxy_service_ports", "Service ports that have rules", registry=registry)
        self.endpoints = Gauge("netproxy_endpoints", "endpoints that have rules", registry=registry)
        self.routes = Gauge("netproxy_routes", "routes to other nodes' pods", registry=registry)
        self.routes_refused = Gauge("netproxy_routes_refused", "routes the kernel does not take", registry=registry)
