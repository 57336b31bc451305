"""What a Service asks of the data path, port by port, read from its message."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from steersman.core.v1 import Service

from netproxy.names import ServicePortName

PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
AFFINITY_TIMEOUT_S = 10800


@lru_cache(maxsize=65536)
def is_ipv4(address: str) -> bool:
    """Whether the text is an IPv4 address."""
    try:
        return ipaddress.ip_address(address).version == 4
    except ValueError:
        return False


@dataclass(frozen=True)
class ServicePort:
    """One port of a Service.

    Attributes:
        name: which one.
        protocol: "tcp", "udp" or "sctp".
        cluster_ip: the address inside the cluster.
        port: the port at the cluster, external and load-balancer addresses.
        node_port: the port on every node; 0: none.
        external_ips: addresses that are routed to nodes from outside.
        load_balancer_ips: addresses of a load balancer that delivers packets unchanged.
        source_ranges: networks that may use the load-balancer addresses; empty: all.
        affinity_s: how long a client stays with its endpoint, seconds; 0: not at all.
        internal_local: traffic from inside goes to endpoints of this node only.
        external_local: traffic from outside goes to endpoints of this node only.
        publish_not_ready: endpoints count as ready in any case.
        health_check_node_port: where a load balancer asks whether this node has endpoints; 0: nowhere.
    """

    name: ServicePortName
    protocol: str
    cluster_ip: str
    port: int
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    affinity_s: int = 0
    internal_local: bool = False
    external_local: bool = False
    publish_not_ready: bool = False
    health_check_node_port: int = 0

    @cached_property
    def externally_accessible(self) -> bool:
        """Whether it can be reached from outside the cluster."""
        return bool(self.node_port or self.external_ips or self.load_balancer_ips)

    @property
    def uses_cluster_endpoints(self) -> bool:
        """Whether endpoints of all nodes play a part.

        They do for external traffic also under a Local policy: pods of this node that use an external address are
        short-circuited to the whole cluster.
        """
        return not self.internal_local or self.externally_accessible

    @property
    def uses_local_endpoints(self) -> bool:
        """Whether the endpoints of this node play a part of their own."""
        return self.internal_local or (self.external_local and self.externally_accessible)


def service_ports(service: Service) -> Iterator[ServicePort]:
    """The ports of a Service that this proxy serves over IPv4.

    Headless Services, ExternalName Services, Services of another proxy (label service-proxy-name) and those without an
    address yet have none.
    """
    spec = service.spec
    if spec.type == "ExternalName" or PROXY_NAME_LABEL in service.metadata.labels:
        return
    addresses = list(spec.cluster_ips) or [spec.cluster_ip]
    cluster_ip = next((address for address in addresses if is_ipv4(address)), "")
    if not cluster_ip:
        return
    affinity_s = 0
    if spec.session_affinity == "ClientIP":
        client_ip = spec.session_affinity_config.client_ip
        affinity_s = client_ip.timeout_seconds if client_ip.HasField("timeout_seconds") else AFFINITY_TIMEOUT_S
    load_balancer_ips: tuple[str, ...] = ()
    if spec.type == "LoadBalancer":
        load_balancer_ips = tuple(
            ingress.ip
            for ingress in service.status.load_balancer.ingress
            if is_ipv4(ingress.ip) and ingress.ip_mode != "Proxy"
        )
    external_ips = tuple(address for address in spec.external_ips if is_ipv4(address))
    source_ranges = tuple(cidr.strip() for cidr in spec.load_balancer_source_ranges if ":" not in cidr)
    outside = spec.type in ("NodePort", "LoadBalancer")
    for port in spec.ports:
        yield ServicePort(
            name=ServicePortName(service.metadata.namespace, service.metadata.name, port.name),
            protocol=(port.protocol or "TCP").lower(),
            cluster_ip=cluster_ip,
            port=port.port,
            node_port=port.node_port if outside else 0,
            external_ips=external_ips,
            load_balancer_ips=load_balancer_ips,
            source_ranges=source_ranges,
            affinity_s=affinity_s,
            internal_local=spec.internal_traffic_policy == "Local",
            external_local=spec.external_traffic_policy == "Local",
            publish_not_ready=spec.publish_not_ready_addresses,
            health_check_node_port=spec.health_check_node_port,
        )
