"""PodTopologySpread: pods that belong together are spread over domains (zones, nodes), strictly or as a wish."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scheduler.columns.cluster import Cluster
from scheduler.columns.labels import add_up
from scheduler.columns.rows import Rows
from scheduler.plugins.node_affinity import suits
from scheduler.plugins.plugin import CLUSTER, SCORE_MAX, Plugin, Scores, size
from scheduler.plugins.taint_toleration import tolerated
from scheduler.pod import Spread, Template
from scheduler.reasons import Codes, Reason, Reasons
from scheduler.terms import PodChoice

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
IGNORED = -1

Mask = NDArray[np.bool_]


class Default(NamedTuple):
    """A constraint for pods that have none of their own."""

    key: str
    max_skew: int


# What every cluster has: replicas apart, over zones and within them over nodes.
SYSTEM_DEFAULTS = (Default(HOSTNAME, 3), Default(ZONE, 5))


class PodTopologySpread(Plugin):
    """Hard constraints refuse nodes whose domain is too full already; soft ones prefer the emptier domains."""

    name = "PodTopologySpread"
    reads = CLUSTER
    filters = True
    scores = True
    normalizes = True

    def __init__(self, reasons: Reasons, *, defaults: tuple[Default, ...] = SYSTEM_DEFAULTS) -> None:
        super().__init__(reasons)
        self._defaults = defaults
        self._skewed = reasons.number(
            Reason(self.name, "TOPOLOGY_SKEW", "node(s) didn't match pod topology spread constraints")
        )
        self._unlabelled = reasons.number(
            Reason(
                self.name,
                "TOPOLOGY_LABEL_MISSING",
                "node(s) didn't match pod topology spread constraints (missing required label)",
                resolvable=False,
            )
        )

    def filter(self, pod: Template, cluster: Cluster, rows: Rows) -> Codes | None:
        """Refuses nodes without the label of a hard constraint, and those that would make its skew too large."""
        hard = [constraint for constraint in pod.spreads if constraint.hard]
        if not hard:
            return None
        columns = [cluster.labels.column(constraint.key) for constraint in hard]
        everything = slice(0, cluster.height)
        codes = [column.codes[everything] for column in columns]
        complete = cluster.rows.valid[everything] & np.logical_and.reduce([code != 0 for code in codes])
        eligibility = Eligibility(pod, cluster)
        refused = np.zeros(size(rows), np.int32)
        for constraint, column, code in zip(hard, columns, codes, strict=True):
            eligible = eligibility.of(constraint, complete)
            domains = len(column.values)
            counted = code[eligible]
            numbers = cluster.pods.count(constraint.choice).by_row[everything][eligible]
            per_domain = add_up(counted, numbers, domains)
            exists = np.bincount(counted, minlength=domains) > 0
            present = int(exists.sum())
            fewest = float(per_domain[exists].min()) if present else math.inf
            if present < constraint.min_domains:
                fewest = 0.0
            here = code[rows]
            too_many = per_domain[here] + constraint.self_match - fewest > constraint.max_skew
            verdict = np.where(here == 0, self._unlabelled, np.where(too_many, self._skewed, 0))
            refused = np.where(refused == 0, verdict, refused)
        return refused.astype(np.int32)

    def score(self, pod: Template, cluster: Cluster, rows: Rows) -> Scores | None:
        """The number of pods in a row's domains, those of a constraint with many domains counting more."""
        constraints, all_required = self._soft(pod, cluster)
        if not constraints:
            return None
        everything = slice(0, cluster.height)
        columns = [cluster.labels.column(constraint.key) for constraint in constraints]
        codes = [column.codes[everything] for column in columns]
        here = [code[rows] for code in codes]
        if all_required:
            labelled = np.logical_and.reduce([code != 0 for code in codes])
            taking_part = np.logical_and.reduce([code != 0 for code in here])
        else:
            labelled = np.ones(cluster.height, np.bool_)
            taking_part = np.ones(size(rows), np.bool_)
        eligibility = Eligibility(pod, cluster)
        labelled &= cluster.rows.valid[everything]
        total = np.zeros(size(rows), np.float64)
        for constraint, column, code, local in zip(constraints, columns, codes, here, strict=True):
            numbers = cluster.pods.count(constraint.choice).by_row[everything]
            if constraint.key == HOSTNAME:
                domains_here = int(taking_part.sum())
                pods_there = numbers[rows].astype(np.float64)
            else:
                domains = len(column.values)
                domains_here = int(np.count_nonzero(np.bincount(local[taking_part], minlength=domains)))
                eligible = eligibility.of(constraint, labelled)
                pods_there = add_up(code[eligible], numbers[eligible], domains)[local]
            weighted = pods_there * math.log(domains_here + 2) + (constraint.max_skew - 1)
            total += np.where(local != 0, weighted, 0.0)
        return np.where(taking_part, np.floor(total + 0.5).astype(np.int64), IGNORED)

    def _soft(self, pod: Template, cluster: Cluster) -> tuple[list[Spread], bool]:
        """The constraints that shape the score, and whether a node must have the labels of all of them."""
        if pod.spreads:
            return [constraint for constraint in pod.spreads if not constraint.hard], True
        selector = cluster.default_selector(pod)
        if selector is None or not self._defaults:
            return [], True
        choice = PodChoice(frozenset((pod.namespace,)), None, selector, terminating=False)
        # With the system's defaults, a cluster without zones is still spread over its nodes.
        return (
            [Spread(default.key, default.max_skew, False, choice) for default in self._defaults],
            self._defaults is not SYSTEM_DEFAULTS,
        )

    def normalize(self, scores: Scores) -> Scores:
        """The fewer pods, the higher; nodes that take no part get nothing."""
        taking_part = scores != IGNORED
        counted = scores[taking_part]
        if not len(counted):
            return np.zeros_like(scores)
        lowest, highest = int(counted.min()), int(counted.max())
        if highest == 0:
            return np.where(taking_part, SCORE_MAX, 0)
        return np.where(taking_part, SCORE_MAX * (highest + lowest - scores) // highest, 0)


class Eligibility:
    """Which rows are counted for a constraint; worked out once for all constraints of a pod."""

    def __init__(self, pod: Template, cluster: Cluster) -> None:
        self._pod = pod
        self._cluster = cluster
        self._suited: Mask | None = None
        self._tolerated: Mask | None = None

    def of(self, constraint: Spread, base: Mask) -> Mask:
        """The rows of `base` that the constraint's policies leave."""
        pod, cluster, everything = self._pod, self._cluster, slice(0, self._cluster.height)
        result = base
        if constraint.honor_affinity and (pod.node_selector or pod.required_nodes is not None):
            if self._suited is None:
                self._suited = suits(pod, cluster, everything)
            result = result & self._suited
        if constraint.honor_taints:
            if self._tolerated is None:
                self._tolerated = tolerated(pod, cluster, everything)
            result = result & self._tolerated
        return result
