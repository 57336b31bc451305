"""NodeName: a pod that names its node goes there and nowhere else.

Pods that name a node are bound already and never reach the queue; the plugin serves what-if questions.
"""

from __future__ import annotations

import numpy as np

from scheduler.columns.cluster import Cluster
from scheduler.columns.rows import Rows
from scheduler.plugins.plugin import NODE, Plugin, mark
from scheduler.pod import Template
from scheduler.reasons import Codes, Reason, Reasons


class NodeName(Plugin):
    """See the module."""

    name = "NodeName"
    reads = NODE
    filters = True

    def __init__(self, reasons: Reasons) -> None:
        super().__init__(reasons)
        self._reason = reasons.number(
            Reason(self.name, "NODE_NAME_MISMATCH", "node(s) didn't match the requested node name", resolvable=False)
        )

    def filter(self, pod: Template, cluster: Cluster, rows: Rows) -> Codes | None:
        """Refuses all nodes but the one that is named."""
        if not pod.node_name:
            return None
        row = cluster.rows.get(pod.node_name)
        return np.where(mark(rows, set() if row is None else {row}), 0, self._reason).astype(np.int32)
