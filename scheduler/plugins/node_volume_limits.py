"""NodeVolumeLimits: a CSI driver takes so many volumes on a node and no more."""

from __future__ import annotations

import numpy as np

from scheduler.columns.cluster import Cluster
from scheduler.columns.rows import Rows
from scheduler.columns.storage import NO_LIMIT
from scheduler.plugins.plugin import CLUSTER, NODE_CHANGED, POD_LEFT, STORAGE_CHANGED, Plugin, mark, size
from scheduler.pod import Template
from scheduler.reasons import Codes, Reason, Reasons


class NodeVolumeLimits(Plugin):
    """Volumes that are on the node already cost nothing; those still to be made count as well."""

    name = "NodeVolumeLimits"
    reads = CLUSTER
    filters = True
    helped_by = frozenset({POD_LEFT, NODE_CHANGED, STORAGE_CHANGED})

    def __init__(self, reasons: Reasons) -> None:
        super().__init__(reasons)
        self._reason = reasons.number(Reason(self.name, "TOO_MANY_VOLUMES", "node(s) exceed max volume count"))

    def filter(self, pod: Template, cluster: Cluster, rows: Rows) -> Codes | None:
        """Refuses nodes where the pod's volumes would be too many for one of their drivers."""
        volumes = pod.volumes
        if volumes is None:
            return None
        storage = cluster.storage
        asked = set(volumes.devices)
        asked |= {device for use in volumes.claims if (device := storage.device((pod.namespace, use.name)))}
        refused = None
        for driver in {device.driver for device in asked}:
            limits = storage.limits(driver)
            if limits is None:
                continue
            there = np.zeros(size(rows), np.int32)
            for key in storage.keys_of(driver):
                there += np.where(self._takes(cluster, key[1], rows), storage.attached(key).number[rows], 0)  # type: ignore[union-attr]
            new = np.zeros(size(rows), np.int32)
            for device in asked:
                if device.driver != driver:
                    continue
                counts = self._takes(cluster, device.plugin, rows)
                attached = storage.attached((driver, device.plugin))
                users = attached.users.get(device.handle) if attached is not None else None
                new += counts & ~mark(rows, set(users)) if users else counts
            full = (limits[rows] != NO_LIMIT) & (new > 0) & (there + new > limits[rows])
            refused = full if refused is None else refused | full
        return None if refused is None else np.multiply(refused, self._reason, dtype=np.int32)

    def _takes(self, cluster: Cluster, plugin: str, rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether volumes of a driver's own (no plugin), or of a built-in plugin, are the driver's on a row."""
        if not plugin:
            return np.ones(size(rows), np.bool_)
        migrated = cluster.storage.migrated(plugin)
        return np.zeros(size(rows), np.bool_) if migrated is None else migrated[rows]
