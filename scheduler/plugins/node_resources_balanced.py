"""NodeResourcesBalancedAllocation: nodes where processors and memory come to be used in like measure are better."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scheduler.columns.cluster import Cluster
from scheduler.columns.resources import Resources
from scheduler.columns.rows import Rows
from scheduler.plugins.plugin import PODS, SCORE_MAX, Plugin, Scores, size
from scheduler.pod import Template
from scheduler.reasons import Reasons
from scheduler.requests import CPU, MEMORY, counts_unasked

UNCHANGED = 3 * SCORE_MAX // 4
"""The score of a node whose balance the pod leaves as it is."""
FEW = 4
"""How many nodes are judged one by one."""


class NodeResourcesBalancedAllocation(Plugin):
    """How much more, or less, alike the used shares of a node's resources become with the pod.

    Alike is measured by the standard deviation of the shares, with the pod and without it. Pods that ask for nothing
    are all alike to it.
    """

    name = "NodeResourcesBalancedAllocation"
    reads = PODS
    scores = True

    def __init__(self, reasons: Reasons, *, resources: tuple[str, ...] = (CPU, MEMORY)) -> None:
        super().__init__(reasons)
        self._resources = resources

    def score(self, pod: Template, cluster: Cluster, rows: Rows) -> Scores | None:
        """From 50 (of shares all alike the pod makes one full, another empty) to 100 (the other way round)."""
        resources = cluster.resources
        index = resources.index
        asked = [(resource, pod.demand.amount(resource)) for resource in self._resources]
        if not any(amount for _, amount in asked):
            return None
        counted = [
            (index[resource], amount)
            for resource, amount in asked
            if resource in index and (amount or counts_unasked(resource))
        ]
        if not counted:
            return np.full(size(rows), UNCHANGED, np.int64)
        if len(counted) == 2 and not isinstance(rows, slice) and len(rows) <= FEW:
            return np.array([score_of_two(resources, counted, row) for row in rows.tolist()], np.int64)
        shares, there = [], []
        for number, amount in counted:
            has, used = resources.allocatable[number, rows], resources.requested[number, rows]
            # Two lines: without the pod, and with it.
            share = np.empty((2, len(has)))
            least = np.maximum(has, 1)
            np.divide(used, least, out=share[0])
            np.divide(used + amount, least, out=share[1])
            shares.append(np.minimum(share, 1.0, out=share))
            there.append(has > 0)
        scores = balance(shares, there)
        result: Scores = scores[1]
        result += 2 * UNCHANGED
        result -= scores[0]
        result >>= 1
        return result


def score_of_two(resources: Resources, counted: list[tuple[int, int]], row: int) -> int:
    """The score of one node by two resources: after a decision one node is judged anew, for which arrays are slow."""
    (first, of_first), (second, of_second) = counted
    has, has_second = resources.allocatable.item(first, row), resources.allocatable.item(second, row)
    if not has or not has_second:
        return UNCHANGED
    used, used_second = resources.requested.item(first, row), resources.requested.item(second, row)
    before = min(used / has, 1.0) - min(used_second / has_second, 1.0)
    after = min((used + of_first) / has, 1.0) - min((used_second + of_second) / has_second, 1.0)
    without, with_pod = (int((1.0 - abs(apart) * 0.5) * SCORE_MAX) for apart in (before, after))
    return (2 * UNCHANGED + with_pod - without) >> 1


def balance(shares: list[NDArray[np.float64]], there: list[NDArray[np.bool_]]) -> Scores:
    """From 50 (half of the resources are full, half empty) to 100 (all are used alike), line by line.

    Args:
        shares: by resource, line and node, from 0 to 1.
        there: by resource and node, whether the node has it; what it has not does not count.
    """
    if len(shares) == 2:
        deviation = np.abs(shares[0] - shares[1])
        deviation *= 0.5
        deviation *= there[0] & there[1]
    else:
        present = np.array(there)[:, None]
        values = np.where(present, np.array(shares), 0.0)
        number = np.maximum(present.sum(axis=0), 1)
        mean = values.sum(axis=0) / number
        deviation = np.sqrt(np.where(present, (values - mean) ** 2, 0.0).sum(axis=0) / number)
    np.subtract(1.0, deviation, out=deviation)
    deviation *= SCORE_MAX
    return deviation.astype(np.int64)
