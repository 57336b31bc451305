"""What the scheduler knows of a pod, read from its message once.

Pods made from one template ask for the same, so everything that does not differ among them is in a shared `Template`:
whatever was worked out for one of them holds for the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple
from weakref import WeakValueDictionary

from steersman.core.v1 import Pod, PodSpec, Toleration, TopologySpreadConstraint
from steersman.quantity import QuantityError
from steersman.selectors import Requirement

from scheduler.columns.images import full_name
from scheduler.columns.ports import ANY_ADDRESS, HostPort
from scheduler.columns.taints import Taint
from scheduler.requests import Demand, demand_of
from scheduler.terms import NodeTerm, PodChoice, Term, node_term, selector_of, term_of, with_keys
from scheduler.volumes import PodVolumes, volumes_of

UNSATISFIABLE_REFUSE, UNSATISFIABLE_ANYWAY = "DoNotSchedule", "ScheduleAnyway"
DEFAULT_SCHEDULER = "default-scheduler"

# The group's name and its size, under this project's labels and under those of the coscheduling plugin.
GROUP_LABELS = (
    "scheduling.steersman.io/pod-group",
    "pod-group.scheduling.sigs.k8s.io/name",
    "scheduling.x-k8s.io/pod-group",
)
MINIMUM_LABELS = ("scheduling.steersman.io/min-available", "pod-group.scheduling.sigs.k8s.io/min-available")
TIMEOUT_LABEL = "scheduling.steersman.io/timeout-seconds"
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)


class PodError(ValueError):
    """A pod cannot be scheduled as it is written.

    Attributes:
        reason: what is wrong, and where.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Tolerance(NamedTuple):
    """A toleration."""

    key: str
    operator: str
    value: str
    effect: str

    def tolerates(self, taint: Taint) -> bool:
        """Whether a taint is tolerated; an empty effect means all effects, an empty key all keys."""
        if self.effect and self.effect != taint.effect:
            return False
        if self.key and self.key != taint.key:
            return False
        if self.operator == "Exists":
            return True
        if self.operator in ("", "Equal"):
            return bool(self.key) and self.value == taint.value
        if self.operator in ("Gt", "Lt") and _INTEGER.fullmatch(self.value) and _INTEGER.fullmatch(taint.value):
            of_taint, bound = int(taint.value), int(self.value)
            return of_taint > bound if self.operator == "Gt" else of_taint < bound
        return False


@dataclass(frozen=True)
class Spread:
    """A topology spread constraint.

    Attributes:
        key: label whose values are the domains.
        max_skew: by how many pods a domain may exceed the emptiest one.
        hard: nodes that break it are refused; otherwise it only shapes the score.
        choice: the pods that are counted.
        min_domains: with fewer domains than this, the emptiest is taken to be empty.
        honor_affinity: nodes that the pod's node affinity excludes are not counted.
        honor_taints: nodes whose taints the pod does not tolerate are not counted.
        self_match: the pod is one of those that are counted.
    """

    key: str
    max_skew: int
    hard: bool
    choice: PodChoice
    min_domains: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False
    self_match: bool = True


@dataclass(frozen=True)
class Gang:
    """The group that a pod is scheduled with.

    Attributes:
        name: its name, within the namespace.
        minimum: how many members must have a node before any may run.
        timeout_s: how long members that are ready wait for others, seconds.
    """

    name: str
    minimum: int
    timeout_s: float


@dataclass(frozen=True)
class Template:
    """What pods of one make have in common.

    Attributes:
        namespace: their namespace.
        labels: their labels.
        demand: requested resources.
        priority: higher goes first and may push out lower.
        may_preempt: whether it pushes out others.
        node_selector: labels that a node must have, as requirements.
        required_nodes: alternatives of which one must hold; None: no such wish; empty: none can hold.
        preferred_nodes: (weight, alternative).
        tolerances: tolerations.
        ports: host ports.
        images: images of the containers and init containers.
        containers: how many those are.
        spreads: topology spread constraints.
        affinity: required terms: be near.
        anti_affinity: required terms: be away.
        preferred: (weight, term); a negative weight means away.
        gates: names of scheduling gates.
        owner: (kind, name) of the controller; empty strings: none.
        scheduler_name: which scheduler it is for.
        node_name: the node that the pod names; only in what-if questions.
        gang: the group that they are scheduled with; None: each for itself.
        volumes: volumes that limit where it may go; None: none do.
        plain: the same without the volumes; None: it has none.
    """

    namespace: str
    labels: Mapping[str, str]
    demand: Demand
    priority: int = 0
    may_preempt: bool = True
    node_selector: tuple[Requirement, ...] = ()
    required_nodes: tuple[NodeTerm, ...] | None = None
    preferred_nodes: tuple[tuple[int, NodeTerm], ...] = ()
    tolerances: tuple[Tolerance, ...] = ()
    ports: tuple[HostPort, ...] = ()
    images: tuple[str, ...] = ()
    containers: int = 1
    spreads: tuple[Spread, ...] = ()
    affinity: tuple[Term, ...] = ()
    anti_affinity: tuple[Term, ...] = ()
    preferred: tuple[tuple[int, Term], ...] = ()
    gates: tuple[str, ...] = ()
    owner: tuple[str, str] = ("", "")
    scheduler_name: str = DEFAULT_SCHEDULER
    node_name: str = ""
    gang: Gang | None = None
    volumes: PodVolumes | None = None
    plain: Template | None = None

    @property
    def kept(self) -> Template:
        """The template that verdicts are kept for: pods whose volumes alone differ have one in common."""
        return self.plain or self

    def identity(self) -> tuple[object, ...]:
        """A value that two templates have in common exactly when they ask for the same."""
        return tuple(
            frozenset(self.labels.items()) if entry.name == "labels" else getattr(self, entry.name)
            for entry in fields(self)
        )

    def __hash__(self) -> int:
        # Templates are interned by the reader: two that are equal are the same object.
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


@dataclass(slots=True)
class PodInfo:
    """One pod.

    Attributes:
        uid: its uid.
        namespace: its namespace.
        name: its name.
        template: what it shares with others of its make.
        started: when it started, seconds since the epoch; one that has not yet: infinity.
        created: creation time in seconds.
        terminating: it is being deleted.
        node_name: where it is bound; empty: nowhere.
        nominated: node that preemption made room for it on; empty: none.
        message: the message it was read from.
    """

    uid: str
    namespace: str
    name: str
    template: Template
    started: float
    created: float
    terminating: bool
    node_name: str
    nominated: str
    message: Pod

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass
class PodReader:
    """Reads pods; remembers the templates it has seen, up to `limit` of them."""

    limit: int = 20_000
    _templates: dict[object, Template] = field(default_factory=dict)
    _with_volumes: WeakValueDictionary[tuple[Template, PodVolumes], Template] = field(
        default_factory=WeakValueDictionary
    )
    _alike: WeakValueDictionary[object, Template] = field(default_factory=WeakValueDictionary)

    def read(self, pod: Pod) -> PodInfo:
        """What the scheduler needs to know of a pod.

        Raises:
            PodError: the pod's spec makes no sense to the scheduler.
        """
        metadata = pod.metadata
        created = metadata.creation_timestamp
        return PodInfo(
            metadata.uid,
            metadata.namespace,
            metadata.name,
            self.template(pod),
            start_of(pod),
            created.seconds + created.nanos * 1e-9,
            metadata.HasField("deletion_timestamp"),
            pod.spec.node_name,
            pod.status.nominated_node_name,
            pod,
        )

    def template(self, pod: Pod) -> Template:
        """The shared part of a pod.

        Raises:
            PodError: as for `read`.
        """
        metadata, spec = pod.metadata, pod.spec
        if spec.node_name or spec.volumes or spec.hostname:
            # What differs from pod to pod of one make, and is no part of the decision.
            trimmed = PodSpec()
            trimmed.CopyFrom(spec)
            for name in ("node_name", "volumes", "hostname"):
                trimmed.ClearField(name)
            for container in (*trimmed.containers, *trimmed.init_containers):
                container.ClearField("volume_mounts")
                container.ClearField("env")
            spec = trimmed
        owner = ("", "")
        for reference in metadata.owner_references:
            if reference.controller:
                owner = (reference.kind, reference.name)
        labels = dict(metadata.labels)
        key = (
            metadata.namespace,
            frozenset(labels.items()),
            owner,
            spec.SerializeToString(deterministic=True),
        )
        template = self._templates.get(key)
        if template is None:
            if len(self._templates) >= self.limit:
                # The oldest half; what is still in use elsewhere stays alive there.
                for old in list(self._templates)[: self.limit // 2]:
                    del self._templates[old]
            made = read_template(metadata.namespace, labels, owner, spec)
            # What differs in places that do not matter here is the same template still.
            template = self._templates[key] = self._alike.setdefault(made.identity(), made)
        volumes = volumes_of(pod) if pod.spec.volumes else None
        return template if volumes is None else self._having(template, volumes)

    def _having(self, template: Template, volumes: PodVolumes) -> Template:
        known = self._with_volumes.get((template, volumes))
        if known is None:
            known = self._with_volumes[template, volumes] = replace(template, volumes=volumes, plain=template)
        return known


def read_template(namespace: str, labels: Mapping[str, str], owner: tuple[str, str], spec: PodSpec) -> Template:
    """A template from a spec.

    Raises:
        PodError: the spec makes no sense to the scheduler.
    """
    try:
        demand = demand_of(spec)
    except QuantityError as error:
        raise PodError(f"resource request: {error}") from error
    containers = [*spec.containers, *spec.init_containers]
    near, away = spec.affinity.pod_affinity, spec.affinity.pod_anti_affinity
    preferred = [
        (weighted.weight, term_of(weighted.pod_affinity_term, namespace, labels))
        for weighted in near.preferred_during_scheduling_ignored_during_execution
    ] + [
        (-weighted.weight, term_of(weighted.pod_affinity_term, namespace, labels))
        for weighted in away.preferred_during_scheduling_ignored_during_execution
    ]
    nodes = spec.affinity.node_affinity
    required = None
    if nodes.HasField("required_during_scheduling_ignored_during_execution"):
        terms = nodes.required_during_scheduling_ignored_during_execution.node_selector_terms
        required = tuple(term for term in map(node_term, terms) if term is not None)
    return Template(
        namespace=namespace,
        labels=labels,
        demand=demand,
        priority=spec.priority,
        may_preempt=spec.preemption_policy != "Never",
        node_selector=tuple(
            Requirement(key, "In", frozenset((value,))) for key, value in sorted(spec.node_selector.items())
        ),
        required_nodes=required,
        preferred_nodes=tuple(
            (preference.weight, term)
            for preference in nodes.preferred_during_scheduling_ignored_during_execution
            if preference.weight and (term := node_term(preference.preference)) is not None
        ),
        tolerances=tuple(map(tolerance, spec.tolerations)),
        ports=tuple(
            HostPort(port.protocol or "TCP", port.host_ip or ANY_ADDRESS, port.host_port)
            # An ordinary init container is over before its ports could be in anybody's way.
            for container in (*spec.containers, *(c for c in spec.init_containers if c.restart_policy == "Always"))
            for port in container.ports
            if port.host_port
        ),
        images=tuple(full_name(container.image) for container in containers),
        containers=len(containers),
        spreads=tuple(spread(constraint, namespace, labels) for constraint in spec.topology_spread_constraints),
        affinity=tuple(
            term_of(term, namespace, labels) for term in near.required_during_scheduling_ignored_during_execution
        ),
        anti_affinity=tuple(
            term_of(term, namespace, labels) for term in away.required_during_scheduling_ignored_during_execution
        ),
        preferred=tuple((weight, term) for weight, term in preferred if weight),
        gates=tuple(gate.name for gate in spec.scheduling_gates),
        owner=owner,
        scheduler_name=spec.scheduler_name or DEFAULT_SCHEDULER,
        gang=gang_of(labels, spec.scheduling_group.pod_group_name),
    )


def gang_of(labels: Mapping[str, str], named: str = "") -> Gang | None:
    """The group that a pod with these labels belongs to; None: none.

    Args:
        labels: the pod's labels.
        named: the group that its spec names; empty: none.

    Raises:
        PodError: the labels make no sense.
    """
    if not named and not any(label in labels for label in GROUP_LABELS):
        return None
    name = next((labels[label] for label in GROUP_LABELS if label in labels), named)
    for label in MINIMUM_LABELS:
        if label in labels:
            return Gang(name, _number(labels, label, 1, 10_000), _number(labels, TIMEOUT_LABEL, 1, 86_400, 60))
    if GROUP_LABELS[0] in labels:
        raise PodError(f"metadata.labels[{MINIMUM_LABELS[0]}]: required beside {GROUP_LABELS[0]}")
    # A group that is for somebody else to know: its size is said nowhere here.
    return None


def _number(labels: Mapping[str, str], label: str, low: int, high: int, default: int = 0) -> int:
    text = labels.get(label)
    if text is None:
        return default
    if not _INTEGER.fullmatch(text) or not low <= int(text) <= high:
        raise PodError(f"metadata.labels[{label}]: {text!r} is not a number from {low} to {high}")
    return int(text)


def tolerance(message: Toleration) -> Tolerance:
    """A toleration as a value."""
    return Tolerance(message.key, message.operator, message.value, message.effect)


def spread(constraint: TopologySpreadConstraint, namespace: str, labels: Mapping[str, str]) -> Spread:
    """A topology spread constraint of a pod in a namespace, with these labels."""
    selector = selector_of(constraint.label_selector, constraint.HasField("label_selector"))
    selector = with_keys(selector, labels, constraint.match_label_keys)
    return Spread(
        key=constraint.topology_key,
        max_skew=constraint.max_skew,
        hard=constraint.when_unsatisfiable != UNSATISFIABLE_ANYWAY,
        choice=PodChoice(frozenset((namespace,)), None, selector, terminating=False),
        min_domains=constraint.min_domains if constraint.HasField("min_domains") else 1,
        honor_affinity=constraint.node_affinity_policy != "Ignore",
        honor_taints=constraint.node_taints_policy == "Honor",
        self_match=selector.matches(labels),
    )


def start_of(message: Pod) -> float:
    """When a pod started, seconds since the epoch; one that has not is taken to start last of all."""
    if not message.status.HasField("start_time"):
        return float("inf")
    started = message.status.start_time
    return started.seconds + started.nanos * 1e-9
