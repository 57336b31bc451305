"""NodeResourcesBalancedAllocation: nodes where processors and memory would be used in like measure are better."""

from __future__ import annotations

import numpy as np

from scheduler.columns.cluster import Cluster
from scheduler.columns.rows import Rows
from scheduler.plugins.node_resources_fit import utilisation
from scheduler.plugins.plugin import PODS, SCORE_MAX, Plugin, Scores, size
from scheduler.pod import Template
from scheduler.reasons import Reasons
from scheduler.requests import CPU, MEMORY


class NodeResourcesBalancedAllocation(Plugin):
    """The score falls with the standard deviation of the used shares; pods that ask for nothing are all alike to it."""

    name = "NodeResourcesBalancedAllocation"
    reads = PODS
    scores = True

    def __init__(self, reasons: Reasons, *, resources: tuple[str, ...] = (CPU, MEMORY)) -> None:
        super().__init__(reasons)
        self._resources = resources

    def score(self, pod: Template, cluster: Cluster, rows: Rows) -> Scores | None:
        """From 0 (one resource full, another empty) to 100 (all alike)."""
        if not any(pod.demand.amount(resource) for resource in self._resources):
            return None
        shares = []
        for resource in self._resources:
            requested, has = utilisation(pod, cluster, rows, resource, assumed=False)
            if requested is not None:
                share = np.minimum(requested / np.maximum(has, 1), 1.0)
                shares.append((share, has > 0))
        if not shares:
            return np.full(size(rows), SCORE_MAX, np.int64)
        if len(shares) == 2:
            (one, one_there), (other, other_there) = shares
            deviation = np.where(one_there & other_there, np.abs((one - other) / 2), 0.0)
            return ((1 - deviation) * SCORE_MAX).astype(np.int64)
        there = np.array([present for _, present in shares])
        values = np.where(there, np.array([share for share, _ in shares]), 0.0)
        number = there.sum(axis=0)
        mean = values.sum(axis=0) / np.maximum(number, 1)
        squares = np.where(there, (values - mean) ** 2, 0.0).sum(axis=0)
        scores: Scores = ((1 - np.sqrt(squares / np.maximum(number, 1))) * SCORE_MAX).astype(np.int64)
        return scores
