"""Addresses and ports out of shared ranges, given to one object each.

A value is taken by creating a key for it in the transaction that writes the object, so that two apiservers can never
give out the same one; the choice here is only a proposal, made again when somebody else was faster.
"""

from __future__ import annotations

import ipaddress
import random
from typing import Any

from apiserver import errors
from apiserver.storage.port import Claim, Storage
from apiserver.strategy import ServiceRange, Wanted

PREFIX = "/registry/ranges/"
CLUSTER_IPS, NODE_PORTS = "clusterips", "nodeports"


def key_of(range_name: str, value: str) -> str:
    """The key that stands for a value."""
    return f"{PREFIX}{range_name}/{value}"


class Allocator:
    """Proposes free values."""

    def __init__(self, storage: Storage, ranges: ServiceRange, source: random.Random) -> None:
        self._storage = storage
        self._network = ipaddress.ip_network(ranges.cluster_cidr)
        self._ports = range(ranges.node_port_low, ranges.node_port_high + 1)
        self._source = source

    async def assign(self, obj: Any, wanted: list[Wanted], owner: str) -> list[Claim]:
        """Writes free values into the object where it wants any; returns the claims to be made with the write.

        Raises:
            RangeExhausted: nothing is left.
            BadRequest: a wanted value is not in the range.
        """
        claims: list[Claim] = []
        taken: dict[str, set[str]] = {}
        for want in wanted:
            value = want.value
            if value:
                self._check(want.range, value)
            else:
                if want.range not in taken:
                    page = await self._storage.list(f"{PREFIX}{want.range}/")
                    taken[want.range] = {item.key.rpartition("/")[2] for item in page.items}
                value = self._free(want.range, taken[want.range])
                taken[want.range].add(value)
                want.put(obj, value)
            claim = Claim(key_of(want.range, value), owner.encode())
            if claim not in claims:
                claims.append(claim)
        return claims

    def _check(self, name: str, value: str) -> None:
        if name == CLUSTER_IPS:
            try:
                inside = ipaddress.ip_address(value) in self._network
            except ValueError:
                inside = False
            if not inside:
                raise errors.BadRequest("spec.clusterIP", f"{value} is not an address of {self._network}")
        elif int(value) not in self._ports:
            span = f"{self._ports.start} to {self._ports.stop - 1}"
            raise errors.BadRequest("spec.ports[].nodePort", f"{value} is not in the range {span}")

    def _free(self, name: str, taken: set[str]) -> str:
        if name == NODE_PORTS:
            return self._pick([str(port) for port in self._ports if str(port) not in taken], "node port")
        # The first addresses are kept for those that ask for one by name: the apiserver's own, DNS.
        count = self._network.num_addresses
        low = min(16, count // 16)
        for _ in range(64):
            candidate = str(self._network[self._source.randrange(max(1, low), count - 1)])
            if candidate not in taken:
                return candidate
        free = (str(self._network[index]) for index in range(1, count - 1))
        return self._pick([address for address in free if address not in taken], "cluster IP")

    def _pick(self, free: list[str], what: str) -> str:
        if not free:
            raise errors.RangeExhausted(what)
        return self._source.choice(free)
