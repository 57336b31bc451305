"""Objects for the tests, made in one line."""

from __future__ import annotations

from typing import Any

from steersman.core.v1 import Node, Service
from steersman.discovery.v1 import EndpointSlice


def service(
    name: str,
    cluster_ip: str,
    port: int,
    *,
    protocol: str = "TCP",
    node_port: int = 0,
    ingress: list[str] | None = None,
    **spec: Any,
) -> Service:
    made = Service(metadata={"name": name, "namespace": "default"}, spec={"cluster_ip": cluster_ip, **spec})
    made.spec.ports.add(port=port, protocol=protocol, node_port=node_port)
    for address in ingress or []:
        made.status.load_balancer.ingress.add(ip=address)
    return made


def slice_of(name: str, addresses: list[str], port: int, *, protocol: str = "TCP", suffix: str = "a") -> EndpointSlice:
    made = EndpointSlice(
        metadata={
            "name": f"{name}-{suffix}",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        address_type="IPv4",
    )
    made.ports.add(port=port, protocol=protocol, name="")
    for address in addresses:
        made.endpoints.add(addresses=[address]).conditions.ready = True
    return made


def node(name: str, address: str, pod_cidr: str) -> Node:
    made = Node(metadata={"name": name}, spec={"pod_cidr": pod_cidr})
    if address:
        made.status.addresses.add(type="InternalIP", address=address)
    return made
