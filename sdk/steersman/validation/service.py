"""Rules of Services."""

from __future__ import annotations

import ipaddress
from typing import Any

from steersman.errors import FieldViolation
from steersman.validation import names
from steersman.validation.meta import one_of
from steersman.validation.names import violation

TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
PROTOCOLS = ("TCP", "UDP", "SCTP")
AFFINITY_SECONDS_MAX = 86400


def validate(obj: Any) -> list[FieldViolation]:
    """What is wrong with a Service."""
    spec = obj.spec
    found = one_of("spec.type", spec.type, TYPES)
    found += names.labels("spec.selector", spec.selector)
    found += one_of("spec.sessionAffinity", spec.session_affinity, ("None", "ClientIP"))
    timeout = spec.session_affinity_config.client_ip.timeout_seconds
    if spec.session_affinity == "ClientIP" and not 0 < timeout <= AFFINITY_SECONDS_MAX:
        field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        found += violation(field, f"{timeout} is not from 1 to {AFFINITY_SECONDS_MAX}")
    if spec.type == "ExternalName":
        found += names.subdomain("spec.externalName", spec.external_name.lower())
        if spec.cluster_ip not in ("", "None"):
            found += violation("spec.clusterIP", "a Service of type ExternalName has none")
    elif not spec.ports and spec.cluster_ip != "None":
        found += violation("spec.ports", "required: at least one port")
    if spec.cluster_ip == "None" and spec.type != "ClusterIP" and spec.type != "ExternalName":
        found += violation("spec.clusterIP", f"a Service of type {spec.type} needs an address; None is for ClusterIP")
    found += _addresses(spec)
    found += _ports(spec)
    if spec.external_traffic_policy:
        found += one_of("spec.externalTrafficPolicy", spec.external_traffic_policy, ("Cluster", "Local"))
    if spec.HasField("internal_traffic_policy"):
        found += one_of("spec.internalTrafficPolicy", spec.internal_traffic_policy, ("Cluster", "Local"))
    return found


def _addresses(spec: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    if list(spec.cluster_ips) not in ([], [spec.cluster_ip]):
        found += violation("spec.clusterIPs", "must hold spec.clusterIP and nothing else")
    named = [("spec.clusterIP", spec.cluster_ip)] if spec.cluster_ip not in ("", "None") else []
    named += [(f"spec.externalIPs[{i}]", address) for i, address in enumerate(spec.external_ips)]
    for field, address in named:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            found += violation(field, f"{names.show(address)} is not an IP address")
    return found


def _ports(spec: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    seen_names: set[str] = set()
    seen_ports: set[tuple[str, int]] = set()
    seen_node_ports: set[tuple[str, int]] = set()
    for index, port in enumerate(spec.ports):
        field = f"spec.ports[{index}]"
        if port.name:
            found += names.label_1123(f"{field}.name", port.name)
        elif len(spec.ports) > 1:
            found += violation(f"{field}.name", "required where there are several ports")
        if port.name and port.name in seen_names:
            found += violation(f"{field}.name", f"{port.name!r} names two ports")
        seen_names.add(port.name)
        found += names.port_number(f"{field}.port", port.port)
        found += one_of(f"{field}.protocol", port.protocol, PROTOCOLS)
        if (port.protocol, port.port) in seen_ports:
            found += violation(field, f"{port.protocol} {port.port} stands twice")
        seen_ports.add((port.protocol, port.port))
        target = port.target_port
        if target.type == 1:
            found += names.port_name(f"{field}.targetPort", target.str_val)
        else:
            found += names.port_number(f"{field}.targetPort", target.int_val)
        if port.node_port:
            if spec.type == "ClusterIP":
                found += violation(f"{field}.nodePort", "a Service of type ClusterIP has none")
            if (port.protocol, port.node_port) in seen_node_ports:
                found += violation(f"{field}.nodePort", f"{port.protocol} {port.node_port} stands twice")
            seen_node_ports.add((port.protocol, port.node_port))
    return found


def validate_update(new: Any, old: Any) -> list[FieldViolation]:
    """What of a Service may not change."""
    was, is_ = old.spec.cluster_ip, new.spec.cluster_ip
    kept = "ExternalName" not in (old.spec.type, new.spec.type)
    if kept and was and is_ != was:
        return violation("spec.clusterIP", f"may not change from {was}")
    return []
