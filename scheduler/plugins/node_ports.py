"""NodePorts: a host port can be given away once per node and address."""

from __future__ import annotations

import numpy as np

from scheduler.columns.cluster import Cluster
from scheduler.columns.rows import Rows
from scheduler.plugins.plugin import PODS, Plugin, mark
from scheduler.pod import Template
from scheduler.reasons import Codes, Reason, Reasons


class NodePorts(Plugin):
    """See the module."""

    name = "NodePorts"
    reads = PODS
    filters = True

    def __init__(self, reasons: Reasons) -> None:
        super().__init__(reasons)
        self._reason = reasons.number(
            Reason(self.name, "PORT_TAKEN", "node(s) didn't have free ports for the requested pod ports")
        )

    def filter(self, pod: Template, cluster: Cluster, rows: Rows) -> Codes | None:
        """Refuses nodes where one of the pod's host ports is taken."""
        if not pod.ports:
            return None
        return np.multiply(mark(rows, cluster.ports.conflicts(pod.ports)), self._reason, dtype=np.int32)
