"""Which tracked UDP flows must be forgotten after a change.

A UDP flow has no end: as long as a client sends, conntrack goes on translating to the endpoint it chose first. So
flows to an endpoint that is gone are deleted, and, when a Service gets its first endpoint, the flows that went nowhere.
TCP needs none of this: a connection to a dead endpoint breaks by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from netproxy.endpoints import Endpoint
from netproxy.names import ServicePortName
from netproxy.services import ServicePort

Key = tuple[ServicePortName, str]


class Flows(NamedTuple):
    """A selection of tracked UDP flows.

    Attributes:
        destination: address the client sent to; empty: any.
        port: port the client sent to; 0: any.
        translated_to: endpoint address it was sent on to; empty: any.
    """

    destination: str = ""
    port: int = 0
    translated_to: str = ""

    def arguments(self) -> list[str]:
        """The selection as arguments of `conntrack -D`."""
        words = ["-p", "udp"]
        if self.destination:
            words += ["--orig-dst", self.destination]
        if self.port:
            words += ["--orig-port-dst", str(self.port)]
        if self.translated_to:
            words += ["--dst-nat", self.translated_to]
        return words


def portals(port: ServicePort) -> Iterator[tuple[str, int]]:
    """The addresses and ports under which clients reach a Service port."""
    for address in (port.cluster_ip, *port.external_ips, *port.load_balancer_ips):
        yield address, port.port
    if port.node_port:
        yield "", port.node_port


def stale(
    old_ports: Mapping[Key, ServicePort],
    old_endpoints: Mapping[Key, tuple[Endpoint, ...]],
    new_ports: Mapping[Key, ServicePort],
    new_endpoints: Mapping[Key, tuple[Endpoint, ...]],
) -> list[Flows]:
    """The flows to forget when the rules change from old to new, in a fixed order without repetition."""
    found: dict[Flows, None] = {}
    for key, port in old_ports.items():
        if port.protocol != "udp":
            continue
        now = {endpoint[:2] for endpoint in new_endpoints.get(key, ())}
        for endpoint in old_endpoints.get(key, ()):
            if endpoint[:2] not in now:
                for address, number in portals(port):
                    found[Flows(address, number, endpoint.address)] = None
    for key, port in new_ports.items():
        if port.protocol == "udp" and new_endpoints.get(key) and not old_endpoints.get(key):
            for address, number in portals(port):
                found[Flows(address, number)] = None
    return list(found)


_FLOW = re.compile(r"\bdst=(\S+) sport=\d+ dport=(\d+) .*?\bsrc=(\S+) dst=\S+ sport=(\d+)")


def stale_in(
    listing: str, ports: Mapping[Key, ServicePort], endpoints: Mapping[Key, tuple[Endpoint, ...]]
) -> list[Flows]:
    """Of the flows that `conntrack -L -p udp` lists, those to a Service that go where it has no endpoint any more.

    What changed while nobody watched, before a start, leaves no other trace than these.
    """
    meant: dict[tuple[str, int], set[tuple[str, int]]] = {}
    for key, port in ports.items():
        if port.protocol == "udp":
            for address, number in portals(port):
                if address:
                    meant[address, number] = {endpoint[:2] for endpoint in endpoints.get(key, ())}
    found: dict[Flows, None] = {}
    for line in listing.splitlines():
        match = _FLOW.search(line)
        if match is None:
            continue
        destination, port_there = match[1], int(match[2])
        allowed = meant.get((destination, port_there))
        if allowed is not None and (match[3], int(match[4])) not in allowed:
            translated = match[3] if match[3] != destination else ""
            found[Flows(destination, port_there, translated)] = None
    return list(found)
