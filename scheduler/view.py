"""The cluster as pods of one template see it, kept up to date row by row.

Verdicts about a node that follow from the node and the pods on it are kept until the row changes; between two decisions
about pods of one template that is a row or two, so that a decision costs little more than finding the best score.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scheduler.columns.cluster import Cluster
from scheduler.columns.rows import Rows
from scheduler.plugins.plugin import CLUSTER, NODE, PODS, Plugin, Scores, size
from scheduler.pod import Template
from scheduler.reasons import FREE_ROW, PASS, Codes


class View:
    """Verdicts of the plugins that read nodes and the pods on them.

    Attributes:
        template: the pods that look.
        codes: the first reason to refuse each row, or 0.
        feasible: whether a row passes.
        total: weighted scores of the plugins that do not normalize, by row.
        masked: `total` where feasible, -1 elsewhere.
        raw: scores of the plugins that normalize, by the plugin's position, by row; absent: all alike.
    """

    def __init__(self, template: Template, plugins: Sequence[tuple[Plugin, int]]) -> None:
        self.template = template
        self.codes: Codes = np.zeros(0, np.int32)
        self.feasible: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self.total: Scores = np.zeros(0, np.int64)
        self.masked: Scores = np.zeros(0, np.int64)
        self.raw: dict[int, Scores] = {}
        self.used = 0
        self._by_node = [plugin for plugin, _ in plugins if plugin.filters and plugin.reads == NODE]
        self._by_pods = [plugin for plugin, _ in plugins if plugin.filters and plugin.reads == PODS]
        kept = [
            (position, plugin, weight)
            for position, (plugin, weight) in enumerate(plugins)
            if plugin.scores and plugin.reads != CLUSTER
        ]
        self._normalizing = [(position, plugin) for position, plugin, _ in kept if plugin.normalizes]
        self._static = [(p, w) for _, p, w in kept if p.reads == NODE and not p.normalizes]
        self._dynamic = [(p, w) for _, p, w in kept if p.reads == PODS and not p.normalizes]
        self._versioned = [plugin for plugin, _ in plugins if type(plugin).version is not Plugin.version]
        self._node_codes: Codes = np.zeros(0, np.int32)
        self._node_total: Scores = np.zeros(0, np.int64)
        self._altered = self._touched = -1
        self._version: tuple[int, ...] = ()

    def refresh(self, cluster: Cluster) -> None:
        """Brings the view up to date."""
        height = cluster.height
        rows = cluster.rows
        version = tuple(plugin.version(cluster) for plugin in self._versioned)
        altered = rows.altered.since(self._altered) if self._altered >= 0 else None
        touched = rows.touched.since(self._touched) if self._touched >= 0 else None
        self._altered, self._touched = rows.altered.position, rows.touched.position
        everything = slice(0, height)
        if altered is None or touched is None or version != self._version or height != len(self.codes):
            self._version = version
            self._allocate(height)
            self._judge_nodes(cluster, everything)
            self._judge_pods(cluster, everything)
            return
        if altered:
            if len(altered) * 4 > height:
                self._judge_nodes(cluster, everything)
                self._judge_pods(cluster, everything)
                return
            self._judge_nodes(cluster, np.array(altered, np.intp))
        changed = touched if not altered else [*{*touched, *altered}]
        if changed:
            self._judge_pods(cluster, everything if len(changed) * 4 > height else np.array(changed, np.intp))

    def _allocate(self, height: int) -> None:
        self.codes = np.zeros(height, np.int32)
        self.feasible = np.zeros(height, np.bool_)
        self.total = np.zeros(height, np.int64)
        self.masked = np.zeros(height, np.int64)
        self.raw = {}
        self._node_codes = np.zeros(height, np.int32)
        self._node_total = np.zeros(height, np.int64)

    def _judge_nodes(self, cluster: Cluster, rows: Rows) -> None:
        codes = np.where(cluster.rows.valid[rows], PASS, FREE_ROW).astype(np.int32)
        self._node_codes[rows] = first_refusals(codes, self._by_node, self.template, cluster, rows)
        total = np.zeros(size(rows), np.int64)
        for plugin, weight in self._static:
            scores = plugin.score(self.template, cluster, rows)
            if scores is not None:
                total += weight * scores
        self._node_total[rows] = total
        for position, plugin in self._normalizing:
            scores = plugin.score(self.template, cluster, rows)
            if scores is not None:
                column = self.raw.get(position)
                if column is None:
                    column = self.raw[position] = np.zeros(len(self.codes), np.int64)
                column[rows] = scores
            elif position in self.raw:
                self.raw[position][rows] = 0

    def _judge_pods(self, cluster: Cluster, rows: Rows) -> None:
        codes = first_refusals(self._node_codes[rows].copy(), self._by_pods, self.template, cluster, rows)
        total = self._node_total[rows].copy()
        for plugin, weight in self._dynamic:
            scores = plugin.score(self.template, cluster, rows)
            if scores is not None:
                total += weight * scores
        feasible = codes == PASS
        self.codes[rows] = codes
        self.feasible[rows] = feasible
        self.total[rows] = total
        self.masked[rows] = np.where(feasible, total, -1)


def first_refusals(codes: Codes, plugins: Sequence[Plugin], template: Template, cluster: Cluster, rows: Rows) -> Codes:
    """The codes, completed by the plugins in their order where they pass so far; changes `codes` in place."""
    for plugin in plugins:
        refused = plugin.filter(template, cluster, rows)
        if refused is not None:
            np.copyto(codes, refused, where=codes == PASS)
    return codes
