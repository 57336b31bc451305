"""Defaults of Services."""

from __future__ import annotations

from typing import Any

from steersman.meta.v1.values_pb2 import IntOrString

EXTERNAL = ("NodePort", "LoadBalancer")


def service(obj: Any) -> None:
    """Fills in a Service, except for the addresses and ports that are given out."""
    spec = obj.spec
    spec.type = spec.type or "ClusterIP"
    spec.session_affinity = spec.session_affinity or "None"
    if spec.session_affinity == "None":
        spec.ClearField("session_affinity_config")
    elif not spec.session_affinity_config.client_ip.HasField("timeout_seconds"):
        spec.session_affinity_config.client_ip.timeout_seconds = 10800
    for port in spec.ports:
        port.protocol = port.protocol or "TCP"
        target = port.target_port
        if not port.HasField("target_port") or (target.type == 0 and target.int_val == 0):
            port.target_port.CopyFrom(IntOrString(int_val=port.port))
    if spec.type in EXTERNAL or spec.external_ips:
        spec.external_traffic_policy = spec.external_traffic_policy or "Cluster"
    if spec.type != "ExternalName":
        if not spec.HasField("internal_traffic_policy"):
            spec.internal_traffic_policy = "Cluster"
        if not spec.HasField("ip_family_policy"):
            spec.ip_family_policy = "SingleStack"
        if not spec.ip_families:
            spec.ip_families.append("IPv4")
    if spec.type == "LoadBalancer" and not spec.HasField("allocate_load_balancer_node_ports"):
        spec.allocate_load_balancer_node_ports = True
    if spec.cluster_ip and not spec.cluster_ips:
        spec.cluster_ips.append(spec.cluster_ip)
    elif spec.cluster_ips and not spec.cluster_ip:
        spec.cluster_ip = spec.cluster_ips[0]
