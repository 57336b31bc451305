"""What a plugin is.

A plugin judges all nodes in one call. `rows` names the nodes: a slice from 0 for all rows, or an array of row numbers;
answers have one element for each of them, in that order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scheduler.columns.cluster import Cluster
from scheduler.columns.rows import Rows
from scheduler.pod import Template
from scheduler.reasons import Codes, Reasons
from scheduler.volumes import VolumePlan

Scores = NDArray[np.int64]
SCORE_MAX = 100

NODE, PODS, CLUSTER = "node", "pods", "cluster"

# What may happen, for plugins that read the cluster.
POD_CAME, POD_LEFT, NODE_CHANGED, NAMESPACE_CHANGED, STORAGE_CHANGED = (
    "pod came",
    "pod left",
    "node changed",
    "namespace changed",
    "storage changed",
)


class Plugin:
    """Base of all plugins: refuses nothing and has no preference.

    Attributes:
        name: its name in profiles, messages and explanations.
        reads: what a verdict about a node depends on: the node itself (NODE), also the pods on it (PODS), or anything
            in the cluster (CLUSTER). Verdicts of the first two kinds are kept until the row changes.
        filters: whether it refuses nodes.
        scores: whether it compares nodes.
        helped_by: of a plugin that reads the CLUSTER, events anywhere that may make it pass a node that it refused; for
            others that follows from the row that changed.
    """

    name = ""
    reads = NODE
    filters = False
    scores = False
    helped_by: frozenset[str] = frozenset({POD_CAME, POD_LEFT, NODE_CHANGED, NAMESPACE_CHANGED})

    def __init__(self, reasons: Reasons) -> None:
        self.reasons = reasons

    def filter(self, pod: Template, cluster: Cluster, rows: Rows) -> Codes | None:
        """The number of the reason to refuse each row, or 0; None: all rows suit."""
        return None

    def score(self, pod: Template, cluster: Cluster, rows: Rows) -> Scores | None:
        """A score for each row, higher is better, before `normalize`; None: they are all alike.

        A plugin that reads the CLUSTER is asked about exactly the rows that passed all filters.
        """
        return None

    def normalize(self, scores: Scores) -> Scores:
        """The scores of the rows that passed all filters, brought into the range from 0 to `SCORE_MAX`."""
        return scores

    normalizes = False
    """Whether `normalize` does anything."""

    def candidates(self, pod: Template, cluster: Cluster) -> NDArray[np.intp] | None:
        """The only rows that can pass, where they are few and known at once; None: any row may."""
        return None

    def reserve(self, pod: Template, cluster: Cluster, row: int) -> VolumePlan | None:
        """What must be bound or made before a pod that got this row may be bound to its node; None: nothing."""
        return None

    def version(self, cluster: Cluster) -> int:
        """A number that changes when verdicts that are kept must be made anew for all rows."""
        return 0


def size(rows: Rows) -> int:
    """How many rows are named."""
    return int(rows.stop) if isinstance(rows, slice) else len(rows)


def mark(rows: Rows, chosen: set[int]) -> NDArray[np.bool_]:
    """For each named row, whether it is one of the chosen."""
    result = np.zeros(size(rows), np.bool_)
    if isinstance(rows, slice):
        for row in chosen:
            if row < len(result):
                result[row] = True
    elif chosen:
        result[:] = np.isin(rows, list(chosen))
    return result


def default_normalize(scores: Scores, *, reverse: bool) -> Scores:
    """Scores in proportion to the highest of them; with `reverse`, the highest becomes the lowest."""
    highest = int(scores.max(initial=0))
    if highest == 0:
        return np.full_like(scores, SCORE_MAX) if reverse else scores
    scaled = scores * SCORE_MAX // highest
    return SCORE_MAX - scaled if reverse else scaled
