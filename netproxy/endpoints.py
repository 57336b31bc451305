"""Where a Service's traffic may go: endpoints read from EndpointSlices, and the choice among them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from steersman.discovery.v1 import EndpointSlice

from netproxy.names import ServicePortName
from netproxy.services import ServicePort

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
HEADLESS_LABEL = "service.kubernetes.io/headless"
PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
ZONE_LABEL = "topology.kubernetes.io/zone"


class Endpoint(NamedTuple):
    """One address and port that answers for a Service.

    Attributes:
        address: IPv4 address.
        port: port at that address.
        node: node it is on; empty: unknown.
        ready: takes new connections.
        serving: answers, be it while terminating.
        terminating: is about to go.
        zones: zones it is meant for; empty: no hint.
        nodes: nodes it is meant for; empty: no hint.
    """

    address: str
    port: int
    node: str = ""
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    zones: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


class Here(NamedTuple):
    """This node, as far as the choice of endpoints depends on it."""

    node: str
    zone: str = ""


def read_slice(piece: EndpointSlice) -> list[tuple[ServicePortName, str, Endpoint]]:
    """The endpoints of a slice, each with its Service port and protocol ("tcp"); none for a slice of another proxy."""
    labels = piece.metadata.labels
    service = labels.get(SERVICE_NAME_LABEL, "")
    if not service or piece.address_type != "IPv4" or HEADLESS_LABEL in labels or PROXY_NAME_LABEL in labels:
        return []
    ports = [
        (ServicePortName(piece.metadata.namespace, service, port.name), (port.protocol or "TCP").lower(), port.port)
        for port in piece.ports
        if port.HasField("port") and port.port
    ]
    found = []
    for endpoint in piece.endpoints:
        if not endpoint.addresses:
            continue
        conditions = endpoint.conditions
        ready = conditions.ready if conditions.HasField("ready") else True
        serving = conditions.serving if conditions.HasField("serving") else ready
        zones: frozenset[str] = frozenset()
        nodes: frozenset[str] = frozenset()
        if endpoint.HasField("hints"):
            zones = frozenset(zone.name for zone in endpoint.hints.for_zones)
            nodes = frozenset(node.name for node in endpoint.hints.for_nodes)
        for name, protocol, number in ports:
            # Consumers use the first address only; further ones have no meaning in the API.
            value = Endpoint(
                endpoint.addresses[0],
                number,
                endpoint.node_name,
                ready,
                serving,
                conditions.terminating,
                zones,
                nodes,
            )
            found.append((name, protocol, value))
    return found


def merge(
    pieces: Iterable[list[tuple[ServicePortName, str, Endpoint]]],
) -> dict[tuple[ServicePortName, str], tuple[Endpoint, ...]]:
    """Endpoints by Service port and protocol, in order of address.

    One address and port may be in two slices for a moment while the slices are rearranged; a ready one wins.
    """
    merged: defaultdict[tuple[ServicePortName, str], dict[tuple[str, int], Endpoint]] = defaultdict(dict)
    for piece in pieces:
        for name, protocol, endpoint in piece:
            known = merged[name, protocol]
            key = (endpoint.address, endpoint.port)
            present = known.get(key)
            if present is None or (endpoint.ready and not present.ready):
                known[key] = endpoint
    return {key: tuple(sorted(known.values(), key=str)) for key, known in merged.items()}


@dataclass(frozen=True)
class Choice:
    """The endpoints that a Service port uses on this node.

    Attributes:
        cluster: for traffic under a Cluster policy.
        local: for traffic under a Local policy.
        reachable: all of them.
        any_anywhere: some node has an endpoint; without one, traffic is refused rather than dropped.
    """

    cluster: tuple[Endpoint, ...]
    local: tuple[Endpoint, ...]
    reachable: tuple[Endpoint, ...]
    any_anywhere: bool


def choose(port: ServicePort, endpoints: tuple[Endpoint, ...], here: Here) -> Choice:
    """Ready endpoints, or those that still serve while they terminate when no ready one is left."""
    if port.publish_not_ready:
        endpoints = tuple(
            endpoint if endpoint.ready else endpoint._replace(ready=True, serving=True) for endpoint in endpoints
        )
    ready = tuple(endpoint for endpoint in endpoints if endpoint.ready)
    draining = tuple(e for e in endpoints if not e.ready and e.serving and e.terminating)
    cluster: tuple[Endpoint, ...] = ()
    if port.uses_cluster_endpoints:
        cluster = heed_hints(ready, here) or draining
    if not port.uses_local_endpoints:
        return Choice(cluster, (), cluster, bool(cluster))
    local = tuple(e for e in ready if e.node == here.node) or tuple(e for e in draining if e.node == here.node)
    reachable = tuple(sorted({*cluster, *local}, key=str))
    return Choice(cluster, local, reachable, bool(ready or draining))


def heed_hints(ready: tuple[Endpoint, ...], here: Here) -> tuple[Endpoint, ...]:
    """The ready endpoints that are meant for this node or its zone; all where hints are absent or would leave none."""
    if ready and all(endpoint.nodes for endpoint in ready):
        same_node = tuple(endpoint for endpoint in ready if here.node in endpoint.nodes)
        if same_node:
            return same_node
    if here.zone and ready and all(endpoint.zones for endpoint in ready):
        same_zone = tuple(endpoint for endpoint in ready if here.zone in endpoint.zones)
        if same_zone:
            return same_zone
    return ready
