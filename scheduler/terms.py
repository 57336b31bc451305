"""Which pods a rule about other pods means, and which nodes a rule about nodes, as values that can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from steersman import selectors
from steersman.core.v1 import NodeSelectorTerm, PodAffinityTerm
from steersman.selectors import IN, NOT_IN, Requirement, Selector, SelectorError, requirement

# Chosen where a selector is absent or makes no sense: it selects no pod.
NOTHING = Selector((Requirement("", "In", frozenset()),))
NAME_FIELD = "metadata.name"


@dataclass(frozen=True)
class PodChoice:
    """A choice of pods.

    Attributes:
        namespaces: namespaces by name.
        namespace_selector: further namespaces by their labels; None: none.
        selector: what the pods' labels must satisfy.
        terminating: whether pods that are being deleted count.
    """

    namespaces: frozenset[str]
    namespace_selector: Selector | None
    selector: Selector
    terminating: bool = True

    @property
    def by_namespace_labels(self) -> bool:
        """Whether the labels of namespaces matter."""
        return self.namespace_selector is not None

    def has_namespace(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether a namespace with these labels is meant."""
        if namespace in self.namespaces:
            return True
        return self.namespace_selector is not None and self.namespace_selector.matches(labels)

    def matches(self, namespace: str, namespace_labels: Mapping[str, str], labels: Mapping[str, str]) -> bool:
        """Whether a pod with these labels, in this namespace, is meant."""
        return self.has_namespace(namespace, namespace_labels) and self.selector.matches(labels)


@dataclass(frozen=True)
class AllOf:
    """The pods that several choices have in common."""

    choices: tuple[PodChoice, ...]

    @property
    def terminating(self) -> bool:
        """Whether pods that are being deleted count."""
        return all(choice.terminating for choice in self.choices)

    @property
    def by_namespace_labels(self) -> bool:
        """Whether the labels of namespaces matter."""
        return any(choice.by_namespace_labels for choice in self.choices)

    def matches(self, namespace: str, namespace_labels: Mapping[str, str], labels: Mapping[str, str]) -> bool:
        """Whether a pod with these labels, in this namespace, is meant."""
        return all(choice.matches(namespace, namespace_labels, labels) for choice in self.choices)


class Term(NamedTuple):
    """A pod's wish to be near other pods, or away from them.

    Attributes:
        choice: the other pods.
        topology_key: label whose value says what "near" is.
    """

    choice: PodChoice
    topology_key: str


def selector_of(message: object, present: bool) -> Selector:
    """A label selector; absent or senseless ones select nothing."""
    if not present:
        return NOTHING
    try:
        return selectors.of_message(message)
    except SelectorError:
        return NOTHING


def with_keys(selector: Selector, labels: Mapping[str, str], keys: object, operator: str = IN) -> Selector:
    """The selector narrowed to pods that agree (IN) or disagree (NOT_IN) with these labels under the keys."""
    extra = tuple(
        Requirement(key, operator, frozenset((labels[key],)))
        for key in keys  # type: ignore[attr-defined]
        if key in labels
    )
    return Selector((*selector.requirements, *extra)) if extra else selector


def term_of(message: PodAffinityTerm, namespace: str, labels: Mapping[str, str]) -> Term:
    """The term of a pod in a namespace, with these labels."""
    chosen = frozenset(message.namespaces)
    among: Selector | None = None
    if message.HasField("namespace_selector"):
        among = selector_of(message.namespace_selector, True)
    elif not chosen:
        chosen = frozenset((namespace,))
    selector = selector_of(message.label_selector, message.HasField("label_selector"))
    selector = with_keys(selector, labels, message.match_label_keys)
    selector = with_keys(selector, labels, message.mismatch_label_keys, NOT_IN)
    return Term(PodChoice(chosen, among, selector), message.topology_key)


@dataclass(frozen=True)
class NodeTerm:
    """One alternative of a node selector: all its requirements must hold; without any it matches no node.

    Attributes:
        labels: requirements on the node's labels.
        names: requirements on the node's name.
    """

    labels: tuple[Requirement, ...]
    names: tuple[Requirement, ...] = ()


def node_term(message: NodeSelectorTerm) -> NodeTerm | None:
    """One alternative of a node selector; None for one that can match no node."""
    if not message.match_expressions and not message.match_fields:
        return None
    try:
        labels = tuple(requirement(e.key, e.operator, e.values) for e in message.match_expressions)
    except SelectorError:
        return None
    names = []
    for entry in message.match_fields:
        if entry.key != NAME_FIELD or entry.operator not in ("In", "NotIn"):
            return None
        names.append(Requirement(entry.key, entry.operator, frozenset(entry.values)))
    return NodeTerm(labels, tuple(names))
