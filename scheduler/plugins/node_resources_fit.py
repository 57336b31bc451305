"""NodeResourcesFit: a node must have what the pod asks for, and how much of it is left says how good it is."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler.columns.cluster import Cluster
from scheduler.columns.rows import Rows
from scheduler.plugins.plugin import PODS, SCORE_MAX, Plugin, Scores, size
from scheduler.pod import Template
from scheduler.reasons import Codes, Reason, Reasons
from scheduler.requests import CPU, EPHEMERAL, MEMORY, counts_unasked

LEAST, MOST, RATIO = "LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"

TOO_MANY_PODS = "Too many pods"


@dataclass(frozen=True)
class Strategy:
    """How nodes are compared.

    Attributes:
        kind: LEAST, MOST or RATIO.
        weights: (resource, weight).
        shape: for RATIO: (utilisation in percent, score from 0 to 10), in order of utilisation.
    """

    kind: str = LEAST
    weights: tuple[tuple[str, int], ...] = ((CPU, 1), (MEMORY, 1))
    shape: tuple[tuple[int, int], ...] = ((0, 0), (100, 10))


class NodeResourcesFit(Plugin):
    """Requests are compared with what is allocatable and not requested yet; usage plays no part.

    `ignored` resources, and those of `ignored_groups` ("example.com" for "example.com/dongle"), are not looked at.
    """

    name = "NodeResourcesFit"
    reads = PODS
    filters = True
    scores = True

    def __init__(
        self,
        reasons: Reasons,
        *,
        strategy: Strategy | None = None,
        ignored: frozenset[str] = frozenset(),
        ignored_groups: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(reasons)
        self._strategy = strategy or Strategy()
        self._ignored = ignored
        self._ignored_groups = ignored_groups

    def filter(self, pod: Template, cluster: Cluster, rows: Rows) -> Codes | None:
        """Refuses nodes that lack something, and names everything that they lack."""
        resources = cluster.resources
        full = resources.pods[rows] >= resources.pods_max[rows]
        lacking = [(TOO_MANY_PODS, full)] if full.any() else []
        hopeless: NDArray[np.bool_] | None = None
        for resource, amount in self._asked(pod):
            number = resources.index.get(resource)
            if number is None:
                # No node has it, or ever had: there is no column to look at, and none is made for a mere wish.
                nowhere = np.ones(size(rows), np.bool_)
                lacking.append((f"Insufficient {resource}", nowhere))
                hopeless = nowhere
                continue
            has = resources.allocatable[number, rows]
            short = resources.requested[number, rows] > has - amount
            if short.any():
                lacking.append((f"Insufficient {resource}", short))
                # More than the node has altogether: no pod that leaves will help.
                never = has < amount
                hopeless = never if hopeless is None else hopeless | never
        if not lacking:
            return None
        if len(lacking) == 1 and hopeless is None:
            return np.multiply(lacking[0][1], self._number((lacking[0][0],), True), dtype=np.int32)
        return self._codes(lacking, hopeless if hopeless is not None else np.zeros(size(rows), np.bool_))

    def _asked(self, pod: Template) -> list[tuple[str, int]]:
        """The requested amounts that are looked at, in the order in which they are named to people."""
        order = {CPU: 0, MEMORY: 1, EPHEMERAL: 2}
        asked = [
            (resource, amount)
            for resource, amount in pod.demand.amounts
            if "/" not in resource
            or (resource not in self._ignored and resource.split("/", 1)[0] not in self._ignored_groups)
        ]
        return sorted(asked, key=lambda entry: (order.get(entry[0], 3), entry[0]))

    def _codes(self, lacking: list[tuple[str, NDArray[np.bool_]]], hopeless: NDArray[np.bool_]) -> Codes:
        """One number per combination of what is lacking, so that each node is counted once."""
        combination = hopeless.astype(np.int64)
        for bit, (_, short) in enumerate(lacking[:60], start=1):
            combination |= short.astype(np.int64) << bit
        codes = np.zeros(len(combination), np.int32)
        for value in np.unique(combination).tolist():
            texts = tuple(text for bit, (text, _) in enumerate(lacking[:60], start=1) if value >> bit & 1)
            if texts:
                codes[combination == value] = self._number(texts, not value & 1)
        return codes

    def _number(self, texts: tuple[str, ...], resolvable: bool) -> int:
        code = "TOO_MANY_PODS" if texts == (TOO_MANY_PODS,) else "INSUFFICIENT_RESOURCES"
        return self.reasons.number(Reason(self.name, code, " and ".join(texts), resolvable))

    def score(self, pod: Template, cluster: Cluster, rows: Rows) -> Scores | None:
        """By the strategy: free resources are good (LEAST), bad (MOST), or rated by a curve (RATIO)."""
        total = np.zeros(size(rows), np.int64)
        weights = np.zeros(size(rows), np.int64)
        for resource, weight in self._strategy.weights:
            requested, has = utilisation(pod, cluster, rows, resource, assumed=True)
            if requested is None:
                continue
            there = has > 0
            rated = self._rate(requested, has, there)
            if self._strategy.kind == RATIO:
                counted = (rated > 0) & there
                total += np.where(counted, rated * weight, 0)
                weights += np.where(counted, weight, 0)
            else:
                total += rated * weight
                weights += there * weight
        if self._strategy.kind == RATIO:
            # Rounded half up, as the original rounds.
            return np.where(weights > 0, (2 * total + weights) // np.maximum(2 * weights, 1), 0)
        return total // np.maximum(weights, 1)

    def _rate(self, requested: Scores, has: Scores, there: NDArray[np.bool_]) -> Scores:
        divisor = np.maximum(has, 1)
        if self._strategy.kind == LEAST:
            return np.where(there & (requested <= has), percent(has - requested, divisor), 0)
        if self._strategy.kind == MOST:
            return np.where(there, percent(np.minimum(requested, has), divisor), 0)
        used = np.where(there & (requested <= has), percent(requested, divisor), 100)
        return curve(self._strategy.shape, used)


def percent(part: Scores, whole: Scores) -> Scores:
    """Whole percents, rounded down, without overflow for amounts of bytes."""
    huge = whole > np.iinfo(np.int64).max // (2 * SCORE_MAX)
    if huge.any():
        part, whole = np.where(huge, part >> 8, part), np.where(huge, whole >> 8, whole)
    return part * SCORE_MAX // whole


def curve(shape: tuple[tuple[int, int], ...], used: Scores) -> Scores:
    """The score at each utilisation: straight lines between the points of the shape, flat outside of them."""
    factor = SCORE_MAX // 10
    result = np.full_like(used, shape[-1][1] * factor)
    for (x0, y0), (x1, y1) in reversed(list(itertools.pairwise(shape))):
        rise, run = (y1 - y0) * factor, x1 - x0
        # Divided towards zero, as the original divides, whichever way the line slopes.
        moved = (used - x0) * abs(rise) // run
        result = np.where(used <= x1, y0 * factor + (moved if rise >= 0 else -moved), result)
    return np.where(used <= shape[0][0], shape[0][1] * factor, result)


def utilisation(
    pod: Template, cluster: Cluster, rows: Rows, resource: str, *, assumed: bool
) -> tuple[Scores | None, Scores]:
    """What would be requested with the pod there, and what there is; None where the resource plays no part.

    Args:
        pod: the pod.
        cluster: the cluster.
        rows: the nodes.
        resource: the resource.
        assumed: pods that ask for no processors or memory count with a small default.
    """
    resources = cluster.resources
    number = resources.index.get(resource)
    if number is None:
        return None, np.zeros(0, np.int64)
    has = resources.allocatable[number, rows]
    amount = pod.demand.amount(resource)
    if not amount and not counts_unasked(resource):
        return None, has
    if assumed and resource == CPU:
        return resources.assumed[0, rows] + pod.demand.assumed_cpu, has
    if assumed and resource == MEMORY:
        return resources.assumed[1, rows] + pod.demand.assumed_memory, has
    return resources.requested[number, rows] + amount, has
