"""TaintToleration: nodes repel pods by taints, and pods tolerate some of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scheduler.columns.cluster import Cluster
from scheduler.columns.rows import Rows
from scheduler.columns.taints import NO_EXECUTE, NO_SCHEDULE, PREFER_NO_SCHEDULE, TaintSet
from scheduler.plugins.plugin import NODE, Plugin, Scores, default_normalize
from scheduler.pod import Template
from scheduler.reasons import PASS, Codes, Reason


class TaintToleration(Plugin):
    """Taints with effect NoSchedule and NoExecute refuse; those with PreferNoSchedule make a node less liked."""

    name = "TaintToleration"
    reads = NODE
    filters = True
    scores = True
    normalizes = True

    def filter(self, pod: Template, cluster: Cluster, rows: Rows) -> Codes | None:
        """Refuses nodes with a taint that is not tolerated, and names the first such taint."""
        verdicts = np.array([self._verdict(pod, taints) for taints in cluster.taints.sets], np.int32)
        return verdicts[cluster.taints.codes[rows]] if verdicts.any() else None

    def _verdict(self, pod: Template, taints: TaintSet) -> int:
        for taint in taints:
            if taint.effect in (NO_SCHEDULE, NO_EXECUTE) and not any(t.tolerates(taint) for t in pod.tolerances):
                text = f"node(s) had untolerated taint {taint}"
                return self.reasons.number(Reason(self.name, "UNTOLERATED_TAINT", text, resolvable=False))
        return PASS

    def score(self, pod: Template, cluster: Cluster, rows: Rows) -> Scores | None:
        """The number of PreferNoSchedule taints that are not tolerated."""
        counts = unliked(pod, cluster)
        return counts[cluster.taints.codes[rows]] if counts.any() else None

    def normalize(self, scores: Scores) -> Scores:
        """The more such taints, the lower."""
        return default_normalize(scores, reverse=True)


def unliked(pod: Template, cluster: Cluster) -> Scores:
    """For each set of taints, how many of PreferNoSchedule the pod does not tolerate."""
    tolerances = [tolerance for tolerance in pod.tolerances if tolerance.effect in ("", PREFER_NO_SCHEDULE)]
    return np.array(
        [
            sum(
                taint.effect == PREFER_NO_SCHEDULE and not any(t.tolerates(taint) for t in tolerances)
                for taint in taints
            )
            for taints in cluster.taints.sets
        ],
        np.int64,
    )


def tolerated(pod: Template, cluster: Cluster, rows: Rows) -> NDArray[np.bool_]:
    """Whether the pod tolerates all taints of a row that refuse."""
    verdicts = np.array(
        [
            all(
                taint.effect not in (NO_SCHEDULE, NO_EXECUTE) or any(t.tolerates(taint) for t in pod.tolerances)
                for taint in taints
            )
            for taints in cluster.taints.sets
        ]
    )
    chosen: NDArray[np.bool_] = verdicts[cluster.taints.codes[rows]]
    return chosen
