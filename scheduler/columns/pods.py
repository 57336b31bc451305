"""The pods on the nodes, counted in the ways that rules about other pods need.

Pods with the same namespace and labels form a group; a rule ("pods with app=web") is matched against groups, not pods,
and keeps one number per row: how many such pods are there. Both sides are remembered, so that a pod that comes or goes
changes a handful of numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scheduler.columns.rows import INITIAL_CAPACITY, grown
from scheduler.pod import PodInfo, Template
from scheduler.terms import AllOf, PodChoice, Term

Counts = NDArray[np.int32]
Choice = PodChoice | AllOf
NO_LABELS: Mapping[str, str] = {}

REQUIRED_NEAR, REQUIRED_AWAY, PREFERRED = "required affinity", "required anti-affinity", "preferred"


@dataclass(eq=False)
class Count:
    """How many pods of a choice are on each row.

    Attributes:
        choice: which pods.
        by_row: number by row.
        total: number in all.
        used: when it was last asked for, in questions asked.
    """

    choice: Choice
    by_row: Counts
    total: int = 0
    used: int = 0


@dataclass(eq=False)
class Carried:
    """How many pods on each row carry a term of their own.

    Attributes:
        kind: REQUIRED_NEAR, REQUIRED_AWAY or PREFERRED.
        weight: of a preferred term; negative: away.
        term: the term.
        by_row: number of carriers by row.
        total: number in all.
    """

    kind: str
    weight: int
    term: Term
    by_row: Counts
    total: int = 0


@dataclass(eq=False)
class Group:
    """Pods with the same namespace and labels.

    Attributes:
        namespace: their namespace.
        labels: their labels.
        terminating: whether they are being deleted.
        rows: how many are on which row.
        counts: the counts that they are part of.
    """

    namespace: str
    labels: Mapping[str, str]
    terminating: bool
    rows: dict[int, int] = field(default_factory=dict)
    counts: list[Count] = field(default_factory=list)


@dataclass(slots=True)
class Placed:
    """A pod on a row.

    Attributes:
        info: the pod.
        row: where it is.
        group: its group.
    """

    info: PodInfo
    row: int
    group: Group


class Pods:
    """All pods that have a node, assumed ones among them."""

    COUNTS_MAX = 4096
    """So many counts are kept; those that were not asked for the longest time go first."""

    def __init__(self) -> None:
        self.placed: dict[str, Placed] = {}
        """By uid."""
        self.on_row: dict[int, dict[str, PodInfo]] = {}
        """By row and uid."""
        self.carried: dict[tuple[str, int, Term], Carried] = {}
        """Terms of the pods that are here."""
        self.version = 0
        """Grows with every pod that comes or goes."""
        self.carried_version = 0
        """Grows whenever a term appears or disappears."""
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self._groups: dict[tuple[str, frozenset[tuple[str, str]], bool], Group] = {}
        self._counts: dict[Choice, Count] = {}
        self._matching: dict[Template, tuple[int, list[Carried]]] = {}
        self._capacity = INITIAL_CAPACITY
        self._questions = 0

    def grow(self, capacity: int) -> None:
        """Makes room for so many rows."""
        self._capacity = capacity
        for count in self._counts.values():
            count.by_row = grown(count.by_row, capacity)
        for carried in self.carried.values():
            carried.by_row = grown(carried.by_row, capacity)

    def namespace_labels(self, namespace: str) -> Mapping[str, str]:
        """The labels of a namespace."""
        return self._namespaces.get(namespace, NO_LABELS)

    def known_namespace(self, namespace: str) -> Mapping[str, str] | None:
        """The labels of a namespace; None: it is not there."""
        return self._namespaces.get(namespace)

    def set_namespace(self, namespace: str, labels: Mapping[str, str] | None) -> bool:
        """Sets a namespace's labels (None: it is gone); whether that changed them."""
        if self._namespaces.get(namespace) == labels:
            return False
        if labels is None:
            del self._namespaces[namespace]
        else:
            self._namespaces[namespace] = dict(labels)
        # Who is meant by a namespace selector may have changed; such counts are made anew when asked for.
        for choice in [choice for choice in self._counts if choice.by_namespace_labels]:
            self._drop(choice)
        self._matching.clear()
        self.version += 1
        return True

    def count(self, choice: Choice) -> Count:
        """The count of a choice; made from all groups when it is first asked for."""
        self._questions += 1
        count = self._counts.get(choice)
        if count is None:
            if len(self._counts) >= self.COUNTS_MAX:
                for stale in sorted(self._counts.values(), key=lambda one: one.used)[: self.COUNTS_MAX // 4]:
                    self._drop(stale.choice)
            count = self._counts[choice] = Count(choice, np.zeros(self._capacity, np.int32))
            for group in self._groups.values():
                if self._is_meant(choice, group):
                    group.counts.append(count)
                    for row, number in group.rows.items():
                        count.by_row[row] += number
                        count.total += number
        count.used = self._questions
        return count

    def _drop(self, choice: Choice) -> None:
        count = self._counts.pop(choice)
        for group in self._groups.values():
            if count in group.counts:
                group.counts.remove(count)

    def _is_meant(self, choice: Choice, group: Group) -> bool:
        if group.terminating and not choice.terminating:
            return False
        return choice.matches(group.namespace, self.namespace_labels(group.namespace), group.labels)

    def carried_towards(self, template: Template) -> list[Carried]:
        """The terms of pods here that mean a pod of this template."""
        template = template.kept
        known = self._matching.get(template)
        if known is None or known[0] != self.carried_version:
            namespace_labels = self.namespace_labels(template.namespace)
            meant = [
                carried
                for carried in self.carried.values()
                if carried.term.choice.matches(template.namespace, namespace_labels, template.labels)
            ]
            if len(self._matching) > 4096:
                self._matching.clear()
            known = self._matching[template] = (self.carried_version, meant)
        return known[1]

    def add(self, info: PodInfo, row: int) -> None:
        """Counts a pod in."""
        template = info.template
        key = (info.namespace, frozenset(template.labels.items()), info.terminating)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(info.namespace, template.labels, info.terminating)
            group.counts = [count for choice, count in self._counts.items() if self._is_meant(choice, group)]
        self.placed[info.uid] = Placed(info, row, group)
        self.on_row.setdefault(row, {})[info.uid] = info
        group.rows[row] = group.rows.get(row, 0) + 1
        for count in group.counts:
            count.by_row[row] += 1
            count.total += 1
        for kind, weight, term in terms_of(template):
            carried = self.carried.get((kind, weight, term))
            if carried is None:
                carried = Carried(kind, weight, term, np.zeros(self._capacity, np.int32))
                self.carried[kind, weight, term] = carried
                self.carried_version += 1
            carried.by_row[row] += 1
            carried.total += 1
        self.version += 1

    def remove(self, uid: str) -> Placed:
        """Counts a pod out."""
        placed = self.placed.pop(uid)
        row, group = placed.row, placed.group
        here = self.on_row[row]
        del here[uid]
        if not here:
            del self.on_row[row]
        group.rows[row] -= 1
        if not group.rows[row]:
            del group.rows[row]
            if not group.rows:
                info = placed.info
                del self._groups[group.namespace, frozenset(group.labels.items()), info.terminating]
        for count in group.counts:
            count.by_row[row] -= 1
            count.total -= 1
        for kind, weight, term in terms_of(placed.info.template):
            carried = self.carried[kind, weight, term]
            carried.by_row[row] -= 1
            carried.total -= 1
            if not carried.total:
                del self.carried[kind, weight, term]
                self.carried_version += 1
        self.version += 1
        return placed


def terms_of(template: Template) -> Iterator[tuple[str, int, Term]]:
    """The terms that a pod of this template carries to its node."""
    for term in template.affinity:
        yield REQUIRED_NEAR, 0, term
    for term in template.anti_affinity:
        yield REQUIRED_AWAY, 0, term
    for weight, term in template.preferred:
        yield PREFERRED, weight, term
