"""VolumeRestrictions: disks and claims that bear one user only."""

from __future__ import annotations

import numpy as np

from scheduler.columns.cluster import Cluster
from scheduler.columns.rows import Rows
from scheduler.plugins.plugin import CLUSTER, NODE_CHANGED, POD_LEFT, STORAGE_CHANGED, Plugin, mark, size
from scheduler.pod import Template
from scheduler.reasons import Codes, Reason, Reasons


class VolumeRestrictions(Plugin):
    """A node where a pod has the same disk is refused; so are all nodes while another pod has the pod's own claim."""

    name = "VolumeRestrictions"
    reads = CLUSTER
    filters = True
    helped_by = frozenset({POD_LEFT, NODE_CHANGED, STORAGE_CHANGED})

    def __init__(self, reasons: Reasons) -> None:
        super().__init__(reasons)
        self._disk = reasons.number(Reason(self.name, "DISK_CONFLICT", "node(s) had no available disk"))
        self._claim = reasons.number(
            Reason(
                self.name,
                "READ_WRITE_ONCE_POD_CONFLICT",
                "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",
            )
        )

    def filter(self, pod: Template, cluster: Cluster, rows: Rows) -> Codes | None:
        """Refuses nodes where a disk is taken, and all nodes when a claim is."""
        volumes = pod.volumes
        if volumes is None:
            return None
        if volumes.claims and cluster.storage.taken(pod.namespace, volumes):
            return np.full(size(rows), self._claim, np.int32)
        conflicts = cluster.storage.in_conflict(volumes.disks)
        if not conflicts:
            return None
        return np.multiply(mark(rows, conflicts), self._disk, dtype=np.int32)
