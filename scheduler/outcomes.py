"""What comes of attempts to place pods, and what is reckoned with meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from steersman.core.v1 import Pod

from scheduler.extender import ExtenderSpec, Judgement
from scheduler.gangs import NAME as GANG
from scheduler.gangs import Crew
from scheduler.plugins.default_preemption import Preemption
from scheduler.pod import PodInfo, Template
from scheduler.queue import Entry
from scheduler.reasons import Diagnosis, Reason
from scheduler.volumes import ClaimKey, VolumePlan

REMEMBERED_MAX = 1024
STAND_IN = "nominated/"
NOTHING: frozenset[str] = frozenset()
FOR_GANG = frozenset((GANG,))
ASSUMED_LONGEST_S = 30.0
UNSCHEDULABLE_REASON, GATED_REASON, ERROR_REASON = "Unschedulable", "SchedulingGated", "SchedulerError"
GATED_MESSAGE = "Scheduling is blocked due to non-empty scheduling gates"


@dataclass(frozen=True)
class Placement:
    """A pod got a node and is assumed there.

    Attributes:
        pod: the pod.
        node: name of the node.
        attempts: how often it was tried.
        waited_s: how long it was in the queue.
        volumes: what must be done about its volumes before it is bound; None: nothing.
        volumes_timeout_s: how long that may take, seconds.
        crew: the members of its group that it is bound together with; None: it is bound by itself.
    """

    pod: PodInfo
    node: str
    attempts: int
    waited_s: float
    volumes: VolumePlan | None = None
    volumes_timeout_s: float = 0.0
    crew: Crew | None = None


@dataclass(frozen=True)
class Refusal:
    """A pod got no node.

    Attributes:
        pod: the pod's message.
        reason: of the condition: Unschedulable, SchedulingGated or SchedulerError.
        message: for people.
        diagnosis: the counts behind the message; None where no node was looked at.
        preemption: the pods that are to be pushed out for it; None: none.
        nominated: node where room is kept for it; empty: none.
    """

    pod: Pod
    reason: str
    message: str
    diagnosis: Diagnosis | None = None
    preemption: Preemption | None = None
    nominated: str = ""


@dataclass(frozen=True)
class Inquiry:
    """A pod has nodes that suit, and extenders must be asked about them.

    Attributes:
        pod: the pod.
        scores: the nodes that suit, with the plugins' scores.
        extenders: whom to ask.
    """

    pod: PodInfo
    scores: Mapping[str, int]
    extenders: tuple[ExtenderSpec, ...]


@dataclass(frozen=True)
class Nomination:
    """Room that preemption makes for a pod. It is kept for it by a stand-in that is counted like a pod.

    Attributes:
        pod: the pod that the room is for.
        node: name of the node.
        stand_in: what is counted there.
        victims: uids of the pods that are to leave for it, as far as this process knows them.
    """

    pod: PodInfo
    node: str
    stand_in: PodInfo
    victims: frozenset[str] = frozenset()


@dataclass
class Assumption:
    """A pod that is taken to be on a node.

    Attributes:
        pod: the pod.
        node: name of the node.
        since: when it was assumed.
        bound: the apiserver has taken the binding; only the watch has not shown it yet.
        volumes: what was promised to it; None: nothing.
        patient_s: how long it may stand without being confirmed, seconds.
    """

    pod: PodInfo
    node: str
    since: float
    bound: bool = False
    volumes: VolumePlan | None = None
    patient_s: float = ASSUMED_LONGEST_S


@dataclass
class Consultation:
    """A group about whose members extenders are asked; it is decided on when there are answers for all of them.

    Attributes:
        entries: the members.
        answers: what was said, by uid; None: an extender that cannot be done without failed.
    """

    entries: list[Entry]
    answers: dict[str, Sequence[Judgement] | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Memory:
    """A decision that was made.

    Attributes:
        pod: the pod.
        at: when, on the clock that never goes back.
        node: where it went; empty: nowhere.
        position: where the cluster's journal was.
        diagnosis: why it went nowhere; None: it did not.
        judgements: what extenders said.
    """

    pod: PodInfo
    at: float
    node: str
    position: int
    diagnosis: Diagnosis | None
    judgements: tuple[Judgement, ...] = ()


def claims_of(template: Template) -> list[ClaimKey]:
    """The claims that pods of a template use."""
    volumes = template.volumes
    return [(template.namespace, use.name) for use in volumes.claims] if volumes is not None else []


def spared(pod: PodInfo) -> bool:
    """Whether a pod is no victim whatever its priority: it only stands for room that is kept."""
    return pod.uid.startswith(STAND_IN)


def weighed(scores: Mapping[str, int], judgements: Iterable[Judgement]) -> tuple[dict[str, int], dict[Reason, int]]:
    """Nodes and scores with what extenders said of them, and why they refused how many."""
    left = dict(scores)
    refused: dict[Reason, int] = {}
    for judgement in judgements:
        extender = judgement.extender
        for node, text in judgement.refusals.items():
            if left.pop(node, None) is not None:
                reason = Reason(extender.name, "EXTENDER", text, resolvable=False)
                refused[reason] = refused.get(reason, 0) + 1
        for node, score in judgement.scores.items():
            if node in left:
                left[node] += score * extender.weight
    return left, refused
