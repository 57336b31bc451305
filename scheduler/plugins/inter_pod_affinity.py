"""InterPodAffinity: pods that want to be near others or away from them, and others that want to be away from them.

"Near" is a matter of the term's topology key: two nodes are near when they have the same value of that label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scheduler.columns.cluster import Cluster
from scheduler.columns.labels import add_up
from scheduler.columns.pods import PREFERRED, REQUIRED_AWAY, REQUIRED_NEAR, Counts
from scheduler.columns.rows import Rows
from scheduler.plugins.plugin import CLUSTER, SCORE_MAX, Plugin, Scores, size
from scheduler.pod import Template
from scheduler.reasons import Codes, Reason, Reasons
from scheduler.terms import AllOf, Term

Mask = NDArray[np.bool_]
Sums = NDArray[np.float64]


class InterPodAffinity(Plugin):
    """Required terms refuse nodes, preferred ones compare them; the terms of pods that are there count as well."""

    name = "InterPodAffinity"
    reads = CLUSTER
    filters = True
    scores = True
    normalizes = True

    def __init__(self, reasons: Reasons, *, hard_weight: int = 1, ignore_preferred_of_existing: bool = False) -> None:
        """Makes the plugin.

        Args:
            reasons: where reasons get their numbers.
            hard_weight: what it is worth to be near a pod that requires to be near this one, 0 to 100.
            ignore_preferred_of_existing: pods without preferences are not drawn to, or pushed from, those with.
        """
        super().__init__(reasons)
        self._hard_weight = hard_weight
        self._ignore_preferred = ignore_preferred_of_existing

        def number(code: str, text: str, *, resolvable: bool = True) -> int:
            return reasons.number(Reason(self.name, code, text, resolvable))

        self._not_near = number("POD_AFFINITY", "node(s) didn't match pod affinity rules", resolvable=False)
        self._not_away = number("POD_ANTI_AFFINITY", "node(s) didn't match pod anti-affinity rules")
        self._repelled = number(
            "EXISTING_PODS_ANTI_AFFINITY", "node(s) didn't satisfy existing pods anti-affinity rules"
        )

    def filter(self, pod: Template, cluster: Cluster, rows: Rows) -> Codes | None:
        """Refuses nodes that are not near enough, too near, or too near to a pod that minds."""
        repelling = [carried for carried in cluster.pods.carried_towards(pod) if carried.kind == REQUIRED_AWAY]
        if not (pod.affinity or pod.anti_affinity or repelling):
            return None
        refused = np.zeros(size(rows), np.int32)
        if pod.affinity:
            refused[~self._near(pod, cluster, rows)] = self._not_near
        for term in pod.anti_affinity:
            count = cluster.pods.count(term.choice)
            if count.total:
                there = spread_out(cluster, term.topology_key, count.by_row, rows) > 0
                refused[there & (refused == 0)] = self._not_away
        for carried in repelling:
            there = spread_out(cluster, carried.term.topology_key, carried.by_row, rows) > 0
            refused[there & (refused == 0)] = self._repelled
        return refused

    def _near(self, pod: Template, cluster: Cluster, rows: Rows) -> Mask:
        """Whether every required term is met; the pods that meet them must meet all of them at once.

        The first pod of a group that wants to be together may go anywhere where the labels exist.
        """
        result = np.ones(size(rows), np.bool_)
        labelled = np.ones(size(rows), np.bool_)
        choice = pod.affinity[0].choice if len(pod.affinity) == 1 else AllOf(tuple(t.choice for t in pod.affinity))
        numbers = cluster.pods.count(choice).by_row
        found = False
        for term in pod.affinity:
            codes = cluster.labels.column(term.topology_key).codes
            labelled &= codes[rows] != 0
            result &= spread_out(cluster, term.topology_key, numbers, rows) > 0
            found = found or bool(numbers[: cluster.height][codes[: cluster.height] != 0].any())
        if not found and self._meets_itself(pod, cluster):
            return labelled
        return result

    def _meets_itself(self, pod: Template, cluster: Cluster) -> bool:
        namespace_labels = cluster.pods.namespace_labels(pod.namespace)
        return all(term.choice.matches(pod.namespace, namespace_labels, pod.labels) for term in pod.affinity)

    def score(self, pod: Template, cluster: Cluster, rows: Rows) -> Scores | None:
        """The sum of weights: of the pod's terms for pods that meet them, of others' terms that this pod meets."""
        total: Sums | None = None

        def add(term: Term, numbers: Counts, weight: int) -> None:
            nonlocal total
            weighted: Sums = spread_out(cluster, term.topology_key, numbers, rows) * float(weight)
            total = weighted if total is None else total + weighted

        for weight, term in pod.preferred:
            count = cluster.pods.count(term.choice)
            if count.total:
                add(term, count.by_row, weight)
        for carried in cluster.pods.carried_towards(pod):
            if carried.kind == REQUIRED_NEAR and self._hard_weight:
                add(carried.term, carried.by_row, self._hard_weight)
            elif carried.kind == PREFERRED and (pod.preferred or not self._ignore_preferred):
                add(carried.term, carried.by_row, carried.weight)
        return None if total is None else total.astype(np.int64)

    def normalize(self, scores: Scores) -> Scores:
        """From 0 for the lowest to 100 for the highest."""
        if not len(scores):
            return scores
        lowest, highest = int(scores.min()), int(scores.max())
        if lowest == highest:
            return np.zeros_like(scores)
        return (SCORE_MAX * ((scores - lowest) / (highest - lowest))).astype(np.int64)


def spread_out(cluster: Cluster, key: str, numbers: Counts, rows: Rows) -> Sums:
    """For each row, the sum of the numbers of all rows in its domain; 0 for rows outside of every domain."""
    column = cluster.labels.column(key)
    codes = column.codes[: cluster.height]
    sums = add_up(codes, numbers[: cluster.height], len(column.values))
    sums[0] = 0
    result: Sums = sums[codes[rows]]
    return result
