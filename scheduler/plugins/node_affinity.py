"""NodeAffinity: the nodes that a pod must or would like to run on, by label and by name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from steersman.selectors import DOES_NOT_EXIST, EXISTS, GREATER, IN, LESS, NOT_IN, Requirement

from scheduler.columns.cluster import Cluster
from scheduler.columns.rows import Rows
from scheduler.plugins.plugin import NODE, Plugin, Scores, default_normalize, mark, size
from scheduler.pod import Template
from scheduler.reasons import Codes, Reason, Reasons
from scheduler.terms import NodeTerm

Mask = NDArray[np.bool_]


class NodeAffinity(Plugin):
    """The pod's node selector and required affinity refuse nodes, its preferred affinity compares them.

    What is `added` is the operator's, and counts for every pod of the profile as well.
    """

    name = "NodeAffinity"
    reads = NODE
    filters = True
    scores = True
    normalizes = True

    def __init__(
        self,
        reasons: Reasons,
        *,
        added: tuple[NodeTerm, ...] | None = None,
        added_preferred: tuple[tuple[int, NodeTerm], ...] = (),
    ) -> None:
        """Makes the plugin.

        Args:
            reasons: where reasons get their numbers.
            added: alternatives of which a node must match one for every pod of the profile; None: no such rule.
            added_preferred: (weight, alternative): what every pod of the profile prefers.
        """
        super().__init__(reasons)
        self._added = added
        self._added_preferred = added_preferred
        self._reason = reasons.number(
            Reason(
                self.name,
                "NODE_AFFINITY_MISMATCH",
                "node(s) didn't match Pod's node affinity/selector",
                resolvable=False,
            )
        )
        self._added_reason = reasons.number(
            Reason(
                self.name,
                "ENFORCED_AFFINITY_MISMATCH",
                "node(s) didn't match scheduler-enforced node affinity",
                resolvable=False,
            )
        )

    def filter(self, pod: Template, cluster: Cluster, rows: Rows) -> Codes | None:
        """Refuses nodes that the pod, or the operator, rules out."""
        codes: Codes | None = None
        if pod.node_selector or pod.required_nodes is not None:
            codes = np.where(suits(pod, cluster, rows), 0, self._reason).astype(np.int32)
        if self._added is not None:
            refused = np.where(any_term(self._added, cluster, rows), 0, self._added_reason).astype(np.int32)
            codes = refused if codes is None else np.where(refused, refused, codes)
        return codes

    def score(self, pod: Template, cluster: Cluster, rows: Rows) -> Scores | None:
        """The sum of the weights of the preferences that a node meets."""
        preferred = (*pod.preferred_nodes, *self._added_preferred)
        if not preferred:
            return None
        total = np.zeros(size(rows), np.int64)
        for weight, term in preferred:
            total += weight * matches(term, cluster, rows)
        return total

    def normalize(self, scores: Scores) -> Scores:
        """In proportion to the best."""
        return default_normalize(scores, reverse=False)

    def candidates(self, pod: Template, cluster: Cluster) -> NDArray[np.intp] | None:
        """The rows of the nodes that are required by name, where every alternative names some."""
        if not pod.required_nodes:
            return None
        found: set[int] = set()
        for term in pod.required_nodes:
            named: set[str] | None = None
            for name in term.names:
                if name.operator == IN:
                    named = set(name.values) if named is None else named & name.values
            if named is None:
                return None
            found |= {row for name in named if (row := cluster.rows.get(name)) is not None}
        return np.array(sorted(found), np.intp)


def suits(pod: Template, cluster: Cluster, rows: Rows) -> Mask:
    """Whether a row satisfies the pod's node selector and its required node affinity."""
    result = np.ones(size(rows), np.bool_)
    for requirement in pod.node_selector:
        result &= satisfied(requirement, cluster, rows)
    if pod.required_nodes is not None:
        result &= any_term(pod.required_nodes, cluster, rows)
    return result


def any_term(terms: tuple[NodeTerm, ...], cluster: Cluster, rows: Rows) -> Mask:
    """Whether a row matches one of the alternatives."""
    result = np.zeros(size(rows), np.bool_)
    for term in terms:
        result |= matches(term, cluster, rows)
    return result


def matches(term: NodeTerm, cluster: Cluster, rows: Rows) -> Mask:
    """Whether a row matches an alternative."""
    result = np.ones(size(rows), np.bool_)
    for requirement in term.labels:
        result &= satisfied(requirement, cluster, rows)
    for requirement in term.names:
        named = mark(rows, {row for name in requirement.values if (row := cluster.rows.get(name)) is not None})
        result &= named if requirement.operator == IN else ~named
    return result


def satisfied(requirement: Requirement, cluster: Cluster, rows: Rows) -> Mask:
    """Whether a row's label satisfies a requirement."""
    column = cluster.labels.column(requirement.key)
    codes = column.codes[rows]
    result: Mask
    if requirement.operator in (IN, NOT_IN):
        numbers = [number for value in requirement.values if (number := column.number(value)) is not None]
        if not numbers:
            result = np.zeros(len(codes), np.bool_)
        elif len(numbers) == 1:
            result = codes == numbers[0]
        else:
            result = np.isin(codes, numbers)
        return ~result if requirement.operator == NOT_IN else result
    if requirement.operator == EXISTS:
        result = codes != 0
    elif requirement.operator == DOES_NOT_EXIST:
        result = codes == 0
    elif requirement.operator in (GREATER, LESS):
        numbers_here = column.integers()[codes]
        bound = int(next(iter(requirement.values)))
        result = numbers_here > bound if requirement.operator == GREATER else numbers_here < bound
    else:
        result = np.zeros(len(codes), np.bool_)
    return result
