"""ImageLocality: nodes that have the pod's images already are better, the more so the larger the images."""

from __future__ import annotations

import numpy as np

from scheduler.columns.cluster import Cluster
from scheduler.columns.rows import Rows
from scheduler.plugins.plugin import NODE, SCORE_MAX, Plugin, Scores, size
from scheduler.pod import Template

MIB = 1024 * 1024
SMALLEST_BYTES = 23 * MIB
LARGEST_BYTES_PER_CONTAINER = 1000 * MIB


class ImageLocality(Plugin):
    """An image that few nodes have counts for less, so that not all pods go to the node that pulled it first."""

    name = "ImageLocality"
    reads = NODE
    scores = True

    def score(self, pod: Template, cluster: Cluster, rows: Rows) -> Scores | None:
        """From 0 (less than 23 MiB are there) to 100 (1000 MiB for each container)."""
        nodes = len(cluster.rows)
        total: Scores | None = None
        for image in pod.images:
            holders = cluster.images.rows.get(image)
            if not holders:
                continue
            if total is None:
                total = np.zeros(cluster.height, np.int64)
            spread = len(holders) / nodes
            for row, size_bytes in holders.items():
                total[row] += int(size_bytes * spread)
        if total is None:
            return None
        largest = LARGEST_BYTES_PER_CONTAINER * pod.containers
        clipped = np.clip(total[rows], SMALLEST_BYTES, largest)
        assert len(clipped) == size(rows)
        return SCORE_MAX * (clipped - SMALLEST_BYTES) // (largest - SMALLEST_BYTES)

    def version(self, cluster: Cluster) -> int:
        """Scores follow from how many of all nodes have an image."""
        return hash((cluster.images.version, len(cluster.rows)))
