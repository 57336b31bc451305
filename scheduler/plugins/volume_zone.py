"""VolumeZone: volumes that carry labels of zones are used in those zones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scheduler.columns.cluster import Cluster
from scheduler.columns.rows import Rows
from scheduler.plugins.plugin import CLUSTER, NODE_CHANGED, STORAGE_CHANGED, Plugin, size
from scheduler.pod import Template
from scheduler.reasons import Codes, Reason, Reasons
from scheduler.volumes import ZONE_KEYS, Volume, present_name

Mask = NDArray[np.bool_]


class VolumeZone(Plugin):
    """Nodes without any label of a zone or region are not held to them. A volume's label with an old name
    is looked for on nodes under the present one too, but not the other way round."""

    name = "VolumeZone"
    reads = CLUSTER
    filters = True
    helped_by = frozenset({NODE_CHANGED, STORAGE_CHANGED})

    def __init__(self, reasons: Reasons) -> None:
        super().__init__(reasons)
        self._reason = reasons.number(
            Reason(self.name, "VOLUME_ZONE_MISMATCH", "node(s) had no available volume zone", resolvable=False)
        )

    def filter(self, pod: Template, cluster: Cluster, rows: Rows) -> Codes | None:
        """Refuses nodes in zones that a volume of the pod is not in."""
        if pod.volumes is None or not pod.volumes.claims:
            return None
        storage = cluster.storage
        zoned: list[Volume] = []
        for use in pod.volumes.claims:
            claim = storage.claims.get((pod.namespace, use.name))
            volume = storage.volumes.get(claim.volume) if claim is not None and claim.volume else None
            if volume is not None and volume.zones:
                zoned.append(volume)
        if not zoned:
            return None
        suits = np.ones(size(rows), np.bool_)
        for volume in zoned:
            for key, values in volume.zones:
                suits &= self._in_zone(cluster, key, values, rows)
        bound = np.logical_or.reduce([cluster.labels.column(key).codes[rows] != 0 for key in sorted(ZONE_KEYS)])
        return np.where(suits | ~bound, 0, self._reason).astype(np.int32)

    def _in_zone(self, cluster: Cluster, key: str, values: frozenset[str], rows: Rows) -> Mask:
        column = cluster.labels.column(key)
        codes = column.codes[rows]
        numbers = [number for value in values if (number := column.number(value)) is not None]
        here: Mask = np.isin(codes, numbers)
        absent = codes == 0
        if present_name(key) != key and absent.any():
            other = cluster.labels.column(present_name(key))
            others = [number for value in values if (number := other.number(value)) is not None]
            here |= absent & np.isin(other.codes[rows], others)
        return here
