"""One decision: all filters, all scores, one node; or the reasons why there is none.

view (kept per template) -> filters that read the whole cluster -> scores, weighted -> a best row, ties at random
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scheduler.columns.cluster import Cluster
from scheduler.columns.pods import REQUIRED_AWAY
from scheduler.extender import ExtenderSpec, Judgement
from scheduler.plugins import default_preemption
from scheduler.plugins.default_preemption import Preemption
from scheduler.plugins.node_resources_fit import NodeResourcesFit
from scheduler.plugins.plugin import (
    CLUSTER,
    NAMESPACE_CHANGED,
    NODE_CHANGED,
    POD_CAME,
    POD_LEFT,
    STORAGE_CHANGED,
    Plugin,
    Scores,
)
from scheduler.plugins.volume_binding import BIND_TIMEOUT_S, VolumeBinding
from scheduler.pod import PodInfo, Template
from scheduler.reasons import FREE_ROW, PASS, Codes, Diagnosis, Reason, Reasons
from scheduler.view import View, first_refusals
from scheduler.volumes import VolumePlan

if TYPE_CHECKING:
    import random

FIT = NodeResourcesFit.name
# Nobody knows what an extender looks at.
ANYTHING = frozenset({POD_CAME, POD_LEFT, NODE_CHANGED, NAMESPACE_CHANGED, STORAGE_CHANGED})


@dataclass(frozen=True)
class Profile:
    """What a scheduler name stands for.

    Attributes:
        name: the scheduler name that pods ask for.
        plugins: plugins and the weights of their scores, in the order of the filters.
        preemption: its pods may push out others.
        extenders: services of others that have a say.
    """

    name: str
    plugins: tuple[tuple[Plugin, int], ...]
    preemption: bool = True
    extenders: tuple[ExtenderSpec, ...] = ()


@dataclass(frozen=True)
class Choice:
    """A node for a pod.

    Attributes:
        row: its row.
        node: its name.
        score: its weighted score, without what is the same for all nodes.
        feasible: how many nodes would have done.
    """

    row: int
    node: str
    score: int
    feasible: int


@dataclass(frozen=True)
class NodeVerdict:
    """What every plugin says of a node.

    Attributes:
        node: its name.
        refusals: (plugin, reason) of each filter that refuses; none: it suits.
        scores: plugin and its normalized score times weight; only for nodes that suit.
        total: the sum of the scores.
    """

    node: str
    refusals: tuple[tuple[str, Reason], ...]
    scores: dict[str, int] = field(default_factory=dict)
    total: int = 0


def tally(codes: Codes) -> dict[int, int]:
    """How many rows have each code that refuses."""
    counts = np.bincount(codes - FREE_ROW)
    return {
        int(number) + FREE_ROW: int(counts[number]) for number in np.flatnonzero(counts) if number > PASS - FREE_ROW
    }


class Framework:
    """Decides for the pods of one profile."""

    VIEWS_MAX = 256
    """So many templates' views are kept; those not used for the longest time go first."""

    def __init__(self, profile: Profile, cluster: Cluster, reasons: Reasons, source: random.Random) -> None:
        self.profile = profile
        self._cluster = cluster
        self._reasons = reasons
        self._source = source
        self._views: dict[Template, View] = {}
        self._decisions = 0
        self._filters = [plugin for plugin, _ in profile.plugins if plugin.filters]
        self._order = {plugin.name: position for position, plugin in enumerate(self._filters)}
        self._kept_filters = [plugin for plugin in self._filters if plugin.reads != CLUSTER]
        self._late_filters = [plugin for plugin in self._filters if plugin.reads == CLUSTER]
        self._late_scores = [(p, w) for p, w in profile.plugins if p.scores and p.reads == CLUSTER]
        self._weights = [weight for _, weight in profile.plugins]
        self.helped_by: dict[str, frozenset[str]] = {
            **{plugin.name: plugin.helped_by for plugin in self._late_filters},
            **dict.fromkeys((extender.name for extender in profile.extenders), ANYTHING),
        }
        """Of those whose verdict about a node may depend on more than the node, what may change it for the better."""
        self._last: Codes = np.zeros(0, np.int32)
        """The first reason to refuse each row in the last decision that found no node."""
        self._choosers = [p for p in self._filters if type(p).candidates is not Plugin.candidates]

    def view(self, template: Template) -> View:
        """The view of a template, up to date."""
        self._decisions += 1
        view = self._views.get(template)
        if view is None:
            if len(self._views) >= self.VIEWS_MAX:
                for stale in sorted(self._views.values(), key=lambda one: one.used)[: self.VIEWS_MAX // 4]:
                    del self._views[stale.template]
            view = self._views[template] = View(template, self.profile.plugins)
        view.used = self._decisions
        try:
            view.refresh(self._cluster)
        except BaseException:
            # It is up to date in part only.
            del self._views[template]
            raise
        return view

    def candidates(self, template: Template) -> NDArray[np.intp] | None:
        """The only rows that can pass, where some plugin knows them; None: any may."""
        found: NDArray[np.intp] | None = None
        for plugin in self._choosers:
            rows = plugin.candidates(template, self._cluster)
            if rows is not None:
                found = rows if found is None else np.intersect1d(found, rows)
        return found

    def decide(self, pod: PodInfo, *, preferred: int | None = None) -> Choice | Diagnosis:
        """A node for the pod, or why there is none.

        Args:
            pod: the pod.
            preferred: a row that is taken, whatever the scores, if it suits.
        """
        template = pod.template
        few = self.candidates(template)
        if few is not None:
            return self._decide_among(template, few)
        view = self.view(template.kept)
        masked = view.masked
        late: Codes | None = None
        for plugin in self._late_filters:
            refused = plugin.filter(template, self._cluster, slice(0, self._cluster.height))
            if refused is not None:
                late = refused if late is None else np.where(late == PASS, refused, late)
        if late is not None:
            masked = np.where(late == PASS, masked, -1)
        if preferred is not None and masked[preferred] >= 0:
            masked = np.full_like(masked, -1)
            masked[preferred] = 0
        choice = self._best(view, masked, template)
        if choice is not None:
            return choice
        self._last = view.codes if late is None else np.where(view.codes == PASS, late, view.codes)
        return self.diagnose(template, self._last)

    def rank(self, template: Template) -> dict[str, int]:
        """The nodes that suit a pod of this template now, with their scores."""
        cluster = self._cluster
        codes = first_refusals(self._free_rows(), self._filters, template, cluster, slice(0, cluster.height))
        passing = np.flatnonzero(codes == PASS)
        total = np.zeros(len(passing), np.int64)
        if len(passing):
            for _, scaled in self._scores(template, passing):
                total += scaled
        return {cluster.node_name(row): score for row, score in zip(passing.tolist(), total.tolist(), strict=True)}

    def asked(self, template: Template) -> tuple[ExtenderSpec, ...]:
        """The extenders that are asked about pods of a template."""
        return tuple(one for one in self.profile.extenders if one.concerns(template))

    def one_of(self, nodes: Sequence[str]) -> str:
        """One of several equally good nodes, at random."""
        return nodes[0] if len(nodes) == 1 else nodes[self._source.randrange(len(nodes))]

    def suits_row(self, template: Template, row: int, *, late: bool = False) -> bool:
        """Whether a node passes all filters that depend on itself and its pods alone; with `late` the others too."""
        if not self._cluster.rows.valid[row]:
            return False
        codes = np.zeros(1, np.int32)
        rows = np.array([row], np.intp)
        filters = self._filters if late else self._kept_filters
        return int(first_refusals(codes, filters, template, self._cluster, rows)[0]) == PASS

    def reserve(self, template: Template, row: int) -> VolumePlan | None:
        """What must be so before a pod of this template may be bound to the node of a row that suits it."""
        for plugin in self._filters:
            plan = plugin.reserve(template, self._cluster, row)
            if plan is not None:
                return plan
        return None

    @property
    def volumes_timeout_s(self) -> int:
        """How long a pod that has a node waits for its volumes, seconds."""
        return next((p.timeout_s for p in self._filters if isinstance(p, VolumeBinding)), BIND_TIMEOUT_S)

    def _best(self, view: View, masked: Scores, template: Template) -> Choice | None:
        if not len(masked):
            return None
        extra = bool(view.raw)
        if extra or self._late_scores:
            rows: NDArray[np.intp] | None = None
            added: Scores | None = None
            for position, column in view.raw.items():
                rows = np.flatnonzero(masked >= 0) if rows is None else rows
                plugin, weight = self.profile.plugins[position]
                scaled = plugin.normalize(column[rows]) * weight
                added = scaled if added is None else added + scaled
            for plugin, weight in self._late_scores:
                if rows is None:
                    rows = np.flatnonzero(masked >= 0)
                scores = plugin.score(template, self._cluster, rows) if len(rows) else None
                if scores is not None:
                    scaled = plugin.normalize(scores) * weight
                    added = scaled if added is None else added + scaled
            if rows is not None and added is not None and len(rows):
                return self._pick(masked[rows] + added, rows, len(rows))
        return self._pick(masked, None, -1)

    def _pick(self, scores: Scores, rows: NDArray[np.intp] | None, feasible: int) -> Choice | None:
        if not len(scores):
            return None
        highest = int(scores.max())
        if highest < 0:
            return None
        ties = np.flatnonzero(scores == highest)
        position = int(ties[0] if len(ties) == 1 else ties[self._source.randrange(len(ties))])
        row = position if rows is None else int(rows[position])
        count = feasible if feasible >= 0 else int(np.count_nonzero(scores >= 0))
        return Choice(row, self._cluster.node_name(row), highest, count)

    def _decide_among(self, template: Template, rows: NDArray[np.intp]) -> Choice | Diagnosis:
        """As `decide`, where only a few rows come into question; nothing is kept."""
        codes = first_refusals(np.zeros(len(rows), np.int32), self._filters, template, self._cluster, rows)
        passing = rows[codes == PASS]
        if not len(passing):
            complete = first_refusals(
                self._free_rows(), self._filters, template, self._cluster, slice(0, self._cluster.height)
            )
            self._last = complete
            return self.diagnose(template, complete)
        if len(passing) == 1:
            row = int(passing[0])
            return Choice(row, self._cluster.node_name(row), 0, 1)
        total = np.zeros(len(passing), np.int64)
        for _, scaled in self._scores(template, passing):
            total += scaled
        return self._pick(total, passing, len(passing)) or self.diagnose(template, codes)

    def _free_rows(self) -> Codes:
        valid = self._cluster.rows.valid[: self._cluster.height]
        return np.where(valid, PASS, FREE_ROW).astype(np.int32)

    def _scores(self, template: Template, passing: NDArray[np.intp]) -> list[tuple[str, Scores]]:
        """Normalized and weighted scores of every plugin for rows that passed."""
        result = []
        for plugin, weight in self.profile.plugins:
            if plugin.scores:
                raw = plugin.score(template, self._cluster, passing)
                scores = plugin.normalize(np.zeros(len(passing), np.int64) if raw is None else raw)
                if raw is None and plugin.reads == CLUSTER:
                    scores = np.zeros(len(passing), np.int64)
                result.append((plugin.name, scores * weight))
        return result

    def preempt(self, template: Template, *, spared: Callable[[PodInfo], bool]) -> tuple[Preemption | None, str]:
        """How room can be made for a pod for which the last decision found none, or what to tell people instead.

        Args:
            template: the pod's template.
            spared: pods that are never victims.
        """
        if not self.profile.preemption:
            return None, ""
        if not template.may_preempt:
            return None, default_preemption.NOT_ALLOWED
        cluster, codes = self._cluster, self._last
        resolvable = [code for code in tally(codes) if self._reasons[code].resolvable]
        rows = np.flatnonzero(np.isin(codes, resolvable)) if resolvable else np.zeros(0, np.intp)
        found: Preemption | None = None
        if len(rows):
            alone = {self._reasons[code].plugin for code in resolvable} <= {FIT} and not self.depends_on_others(
                template
            )
            found = default_preemption.plan(
                template,
                cluster,
                rows,
                suits=lambda row: self.suits_row(template, row, late=True),
                by_resources_alone=alone,
                spared=spared,
                first=self._source.randrange(len(rows)),
            )
        return found, "" if found else default_preemption.note(len(cluster.rows), len(rows))

    def may_be_resolved(self, row: int) -> bool:
        """Whether it may help that pods leave a row that the last decision, which found no node, refused."""
        return self._reasons[int(self._last[row])].resolvable

    def depends_on_others(self, template: Template) -> bool:
        """Whether more than resources depends on which pods are where."""
        return bool(
            template.ports
            or template.volumes
            or template.affinity
            or template.anti_affinity
            or any(constraint.hard for constraint in template.spreads)
            or any(carried.kind == REQUIRED_AWAY for carried in self._cluster.pods.carried_towards(template))
        )

    def diagnosis(self, template: Template) -> Diagnosis:
        """Why nodes refuse a pod of this template now, each counted under its first reason; others are not counted."""
        everything = slice(0, self._cluster.height)
        return self.diagnose(
            template, first_refusals(self._free_rows(), self._filters, template, self._cluster, everything)
        )

    def diagnose(self, template: Template, codes: Codes) -> Diagnosis:
        """What the codes of all rows amount to; every node is counted under one reason."""
        present = tally(codes)
        reasons = {self._reasons[number]: count for number, count in present.items()}
        return Diagnosis(len(self._cluster.rows), reasons, self._nearest(codes, present))

    def _nearest(self, codes: Codes, present: dict[int, int]) -> tuple[str, Reason] | None:
        """The node that came furthest through the filters."""
        furthest = max(
            present,
            key=lambda code: (self._order.get(self._reasons[code].plugin, -1), self._reasons[code].resolvable),
            default=None,
        )
        if furthest is None:
            return None
        return self._cluster.node_name(int(np.argmax(codes == furthest))), self._reasons[furthest]

    def explain(self, template: Template, judgements: Sequence[Judgement] = ()) -> list[NodeVerdict]:
        """What every plugin says of every node, best nodes first, then by name.

        Args:
            template: the pod's template.
            judgements: what extenders said; it counts as what plugins say does.
        """
        cluster = self._cluster
        everything = slice(0, cluster.height)
        refusals: dict[int, list[tuple[str, Reason]]] = {row: [] for row in np.flatnonzero(cluster.rows.valid).tolist()}
        for plugin in self._filters:
            codes = plugin.filter(template, cluster, everything)
            if codes is not None:
                for row in np.flatnonzero(codes > PASS).tolist():
                    if row in refusals:
                        refusals[row].append((plugin.name, self._reasons[int(codes[row])]))
        for judgement in judgements:
            for node, text in judgement.refusals.items():
                row_of = cluster.rows.get(node)
                if row_of is not None and not refusals[row_of]:
                    name = judgement.extender.name
                    refusals[row_of].append((name, Reason(name, "EXTENDER", text, resolvable=False)))
        passing = np.array([row for row, found in refusals.items() if not found], np.intp)
        scores: dict[int, dict[str, int]] = {row: {} for row in passing.tolist()}
        if len(passing):
            for name, scaled in self._scores(template, passing):
                for row, value in zip(passing.tolist(), scaled.tolist(), strict=True):
                    scores[row][name] = value
        for judgement in judgements:
            for row in scores:
                given = judgement.scores.get(cluster.node_name(row), 0)
                scores[row][judgement.extender.name] = given * judgement.extender.weight
        verdicts = [
            NodeVerdict(cluster.node_name(row), tuple(found), scores.get(row, {}), sum(scores.get(row, {}).values()))
            for row, found in refusals.items()
        ]
        return sorted(verdicts, key=lambda verdict: (bool(verdict.refusals), -verdict.total, verdict.node))
