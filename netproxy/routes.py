"""The pod network between nodes: one route to each other node's pods, by way of that node."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple

from steersman.core.v1 import Node

from netproxy.compiler import internal_addresses

# Marks routes as ours, so that they can be told apart and pruned; not assigned to any routing program.
PROTOCOL = 207


class Route(NamedTuple):
    """A route of the main table.

    Attributes:
        destination: network, "10.244.1.0/24".
        via: address of the next hop.
    """

    destination: str
    via: str


def wanted(nodes: Iterable[Node], own_name: str) -> frozenset[Route]:
    """The routes this node should have.

    A node without an address or without a pod network yet has none. Where two nodes claim one network, which a faulty
    allocation may cause, the one that was there first keeps it.
    """
    claims: dict[str, Route] = {}
    for node in sorted(nodes, key=_seniority):
        networks = [text for text in (node.spec.pod_cidrs or [node.spec.pod_cidr]) if text]
        addresses = internal_addresses(node)
        for text in networks:
            try:
                network = str(ipaddress.IPv4Network(text, strict=False))
            except ValueError:
                continue
            own = node.metadata.name == own_name
            if network not in claims and (own or addresses):
                claims[network] = Route(network, "" if own else addresses[0])
    return frozenset(route for route in claims.values() if route.via)


def _seniority(node: Node) -> tuple[int, int, str]:
    created = node.metadata.creation_timestamp
    return created.seconds, created.nanos, node.metadata.name


def batch(desired: frozenset[Route], present: frozenset[Route]) -> list[str]:
    """Commands for `ip -batch` that make the present routes the desired ones; routes that stay are not touched."""
    networks = {route.destination for route in desired}
    commands = [
        f"route replace {route.destination} via {route.via} proto {PROTOCOL}" for route in sorted(desired - present)
    ]
    commands += [
        f"route del {route.destination} via {route.via} proto {PROTOCOL}"
        for route in sorted(present - desired)
        if route.destination not in networks
    ]
    return commands
