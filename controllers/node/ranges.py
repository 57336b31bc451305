"""Giving each node a range of pod addresses. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


class RangesExhausted(Exception):
    """Every range of the cluster's addresses is given to a node."""


def next_free(cluster_cidr: str, mask_size: int, taken: Iterable[str]) -> str:
    """The first range of a size that is free.

    Args:
        cluster_cidr: the cluster's pod addresses.
        mask_size: prefix length of a node's range.
        taken: ranges that nodes have.

    Raises:
        RangesExhausted: there is none.
    """
    cluster = ipaddress.ip_network(cluster_cidr)
    used = [ipaddress.ip_network(cidr) for cidr in taken]
    exact = {network for network in used if network.prefixlen == mask_size}
    odd = [network for network in used if network.prefixlen != mask_size]
    for candidate in cluster.subnets(new_prefix=mask_size):
        if candidate not in exact and not any(candidate.overlaps(network) for network in odd):
            return str(candidate)
    raise RangesExhausted(f"no range of size /{mask_size} is left of {cluster_cidr}")
