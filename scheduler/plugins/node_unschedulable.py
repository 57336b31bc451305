"""NodeUnschedulable: cordoned nodes take no pods, except such as tolerate it."""

from __future__ import annotations

import numpy as np

from scheduler.columns.cluster import Cluster
from scheduler.columns.rows import Rows
from scheduler.columns.taints import NO_SCHEDULE, Taint
from scheduler.plugins.plugin import NODE, Plugin
from scheduler.pod import Template
from scheduler.reasons import Codes, Reason, Reasons

CORDON = Taint("node.kubernetes.io/unschedulable", "", NO_SCHEDULE)


class NodeUnschedulable(Plugin):
    """See the module."""

    name = "NodeUnschedulable"
    reads = NODE
    filters = True

    def __init__(self, reasons: Reasons) -> None:
        super().__init__(reasons)
        self._reason = reasons.number(
            Reason(self.name, "NODE_UNSCHEDULABLE", "node(s) were unschedulable", resolvable=False)
        )

    def filter(self, pod: Template, cluster: Cluster, rows: Rows) -> Codes | None:
        """Refuses cordoned nodes."""
        if any(tolerance.tolerates(CORDON) for tolerance in pod.tolerances):
            return None
        return np.multiply(cluster.unschedulable[rows], self._reason, dtype=np.int32)
