"""Host ports that pods occupy on nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

ANY_ADDRESS = "0.0.0.0"


class HostPort(NamedTuple):
    """A port of the node that a container asks for."""

    protocol: str
    address: str
    port: int


class Ports:
    """Which host ports are taken on which rows."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, int], dict[int, Counter[str]]] = {}

    def add(self, row: int, ports: Iterable[HostPort]) -> None:
        """Counts a pod's ports in."""
        for protocol, address, port in ports:
            self._taken.setdefault((protocol, port), {}).setdefault(row, Counter())[address] += 1

    def remove(self, row: int, ports: Iterable[HostPort]) -> None:
        """Counts a pod's ports out."""
        for protocol, address, port in ports:
            rows = self._taken.get((protocol, port), {})
            addresses = rows.get(row)
            if addresses is None:
                continue
            addresses[address] -= 1
            if addresses[address] <= 0:
                del addresses[address]
            if not addresses:
                del rows[row]
            if not rows:
                del self._taken[protocol, port]

    def conflicts(self, ports: Iterable[HostPort]) -> set[int]:
        """The rows where at least one of the ports is taken; the address 0.0.0.0 overlaps with every other."""
        found: set[int] = set()
        for protocol, address, port in ports:
            for row, addresses in self._taken.get((protocol, port), {}).items():
                if address == ANY_ADDRESS or address in addresses or ANY_ADDRESS in addresses:
                    found.add(row)
        return found
