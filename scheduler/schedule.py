"""The scheduler's state of mind: what is where, who waits, what was decided. Events in, attempts out; no IO, no clock.

A pod that gets a node is *assumed* there at once, so that the next decision counts it, long before the apiserver has
taken the binding. The assumption ends when the pod is seen bound, when the binding fails, or when it is given up.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from steersman.core.v1 import Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service
from steersman.policy.v1 import PodDisruptionBudget
from steersman.selectors import Selector
from steersman.storage.v1 import CSINode, StorageClass, VolumeAttachment

from scheduler.columns.budgets import budget_of
from scheduler.columns.cluster import Cluster
from scheduler.columns.storage import drivers_of
from scheduler.extender import ExtenderSpec, Judgement
from scheduler.framework import Choice, Framework, NodeVerdict
from scheduler.gangs import NAME as GANG
from scheduler.gangs import Crew, GangKey, Gangs, incomplete, key_of, without_room
from scheduler.plugins.default_preemption import Preemption
from scheduler.plugins.plugin import NAMESPACE_CHANGED, NODE_CHANGED, POD_CAME, POD_LEFT, STORAGE_CHANGED
from scheduler.pod import DEFAULT_SCHEDULER, PodError, PodInfo, PodReader, Template
from scheduler.queue import GATED, IN_FLIGHT, Entry, Queue
from scheduler.reasons import Diagnosis, Reason
from scheduler.volumes import ClaimKey, VolumePlan, claim_of, class_of, volume_of

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
    """

    pod: PodInfo
    node: str
    stand_in: PodInfo


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


class Schedule:
    """See the module. One instance serves all profiles, for they share the nodes."""

    def __init__(self, cluster: Cluster, frameworks: Mapping[str, Framework]) -> None:
        self.cluster = cluster
        self.frameworks = frameworks
        self.queue = Queue()
        self.assumed: dict[str, Assumption] = {}
        self.nominated: dict[str, Nomination] = {}
        """Room that is being made, by the uid of the pod that it is for."""
        self.remembered: OrderedDict[str, Memory] = OrderedDict()
        self.reports: deque[Refusal] = deque()
        """What is to be told about pods that never reach an attempt."""
        self.gangs = Gangs()
        """Who belongs to which group."""
        self._reader = PodReader()
        self._position = 0
        self._tried: list[Entry] = []
        """The pods that the present decision is about."""
        self._decided: deque[Placement | Refusal | Inquiry] = deque()
        self._consultations: dict[GangKey, Consultation] = {}
        self._room_since: dict[GangKey, float] = {}
        self._gave_up: dict[GangKey, float] = {}
        """When a group last gave up the room that it had waited for in vain; others have their turn for as long."""
        self._crews = itertools.count(1)

    # Events.

    def pod_changed(self, old: Pod | None, new: Pod | None, now: float) -> None:
        """A pod is new, changed or gone (`new` is None)."""
        if new is None or new.status.phase in ("Succeeded", "Failed"):
            gone = new if new is not None else old
            if gone is not None:
                self._pod_gone(gone, now)
            return
        uid = new.metadata.uid
        if not new.spec.node_name and (new.spec.scheduler_name or DEFAULT_SCHEDULER) not in self.frameworks:
            return
        try:
            info = self._reader.read(new)
        except PodError as error:
            self._senseless(new, error.reason, now)
            return
        self.gangs.set(info)
        if info.node_name:
            self._pod_bound(info, now)
        elif uid in self.assumed:
            # Should its binding fail, it is tried again as it is now. (Once bound, the queue knows it no more.)
            if uid in self.queue.entries:
                self.queue.put(info, now)
        elif info.terminating:
            self.queue.remove(uid)
            self._withdraw(uid)
        else:
            known = self.queue.entries.get(uid)
            self.queue.put(info, now)
            if known is None and info.nominated:
                # Room was made for it before this process knew of it.
                self._nominate(info, info.nominated)
            if known is None and self.queue.entries[uid].state == GATED:
                self.reports.append(Refusal(new, GATED_REASON, GATED_MESSAGE))

    def _senseless(self, pod: Pod, reason: str, now: float) -> None:
        uid = pod.metadata.uid
        self.queue.remove(uid)
        self.gangs.remove(uid)
        if pod.spec.node_name:
            return
        self.reports.append(Refusal(pod, ERROR_REASON, f"the pod cannot be scheduled: {reason}"))

    def _pod_gone(self, pod: Pod, now: float) -> None:
        uid = pod.metadata.uid
        self.queue.remove(uid)
        self._assume_no_more(uid)
        self._withdraw(uid)
        self.gangs.remove(uid)
        row = self.cluster.remove_pod(uid, pod.spec.node_name)
        if row is not None:
            self._wake(POD_LEFT, row, now)

    def _pod_bound(self, info: PodInfo, now: float) -> None:
        self.queue.remove(info.uid)
        self._assume_no_more(info.uid)
        self._withdraw(info.uid)
        placed = self.cluster.pods.placed.get(info.uid)
        if placed is not None and self.cluster.node_name(placed.row) == info.node_name:
            before = placed.info
            if before.template is info.template and before.terminating == info.terminating:
                placed.info = info
                self.cluster.pods.on_row[placed.row][info.uid] = info
                return
        if placed is not None:
            self.cluster.remove_pod(info.uid)
        row = self.cluster.add_pod(info, info.node_name)
        if row is not None:
            # A pod that comes takes room and gives none; only rules about other pods may hold now that did not before.
            self._wake(POD_CAME, None, now)

    def node_changed(self, old: Node | None, new: Node | None, now: float) -> None:
        """A node is new, changed or gone (`new` is None)."""
        if new is None:
            if old is not None:
                self.cluster.remove_node(old.metadata.name)
                self._wake(NODE_CHANGED, None, now)
            return
        position = self.cluster.rows.altered.position
        row = self.cluster.set_node(new)
        if self.cluster.rows.altered.position != position:
            self._wake(NODE_CHANGED, row, now)

    def namespace_changed(self, old: Namespace | None, new: Namespace | None, now: float) -> None:
        """A namespace is new, changed or gone (`new` is None)."""
        if new is not None:
            changed = self.cluster.set_namespace(new.metadata.name, dict(new.metadata.labels))
        else:
            changed = old is not None and self.cluster.set_namespace(old.metadata.name, None)
        if changed:
            self._wake(NAMESPACE_CHANGED, None, now)

    def service_changed(self, old: Service | None, new: Service | None) -> None:
        """A Service is new, changed or gone; it shapes scores only and wakes nobody."""
        service = new or old
        if service is not None:
            self.cluster.set_service(service, gone=new is None)

    def owner_changed(self, kind: str, namespace: str, name: str, selector: Selector | None) -> None:
        """A controller of pods has this selector, or is gone (None)."""
        self.cluster.set_owner(kind, namespace, name, selector)

    def claim_changed(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None, now: float) -> None:
        """A claim is new, changed or gone (`new` is None)."""
        message = new or old
        if message is None:
            return
        key = message.metadata.namespace, message.metadata.name
        if self.cluster.storage.set_claim(key, None if new is None else claim_of(new)):
            self._wake_users(now, lambda template: any(key == one for one in claims_of(template)))

    def volume_changed(self, old: PersistentVolume | None, new: PersistentVolume | None, now: float) -> None:
        """A volume is new, changed or gone (`new` is None)."""
        message = new or old
        if message is None:
            return
        storage, volume = self.cluster.storage, volume_of(message)
        if storage.set_volume(volume.name, None if new is None else volume):

            def concerns(template: Template) -> bool:
                found = [storage.claims.get(key) for key in claims_of(template)]
                return any(one and (one.volume == volume.name or one.class_name == volume.class_name) for one in found)

            self._wake_users(now, concerns)

    def class_changed(self, old: StorageClass | None, new: StorageClass | None, now: float) -> None:
        """A storage class is new, changed or gone (`new` is None)."""
        message = new or old
        if message is None:
            return
        storage, name = self.cluster.storage, message.metadata.name
        if storage.set_class(name, None if new is None else class_of(new)):

            def concerns(template: Template) -> bool:
                found = [storage.claims.get(key) for key in claims_of(template)]
                return any(one is not None and one.class_name == name for one in found)

            self._wake_users(now, concerns)

    def drivers_changed(self, old: CSINode | None, new: CSINode | None, now: float) -> None:
        """A node's list of CSI drivers is new, changed or gone (`new` is None)."""
        message = new or old
        if message is not None and self.cluster.storage.set_node(
            message.metadata.name, None if new is None else drivers_of(new)
        ):
            self._wake_users(now, lambda template: template.volumes is not None)

    def attachment_changed(self, old: VolumeAttachment | None, new: VolumeAttachment | None, now: float) -> None:
        """An attachment of a volume to a node is new, changed or gone (`new` is None)."""
        message = new or old
        if message is None:
            return
        volume = new.spec.source.persistent_volume_name if new is not None else ""
        self.cluster.storage.set_attachment(message.metadata.name, message.spec.node_name, volume)
        if not volume:
            self._wake_users(now, lambda template: template.volumes is not None)

    def budget_changed(self, old: PodDisruptionBudget | None, new: PodDisruptionBudget | None) -> None:
        """A disruption budget is new, changed or gone; it shapes preemption only and wakes nobody."""
        message = new or old
        if message is not None:
            metadata = message.metadata
            self.cluster.budgets.set(metadata.namespace, metadata.name, None if new is None else budget_of(new))

    def _wake_users(self, now: float, concerns: Callable[[Template], bool]) -> None:
        """Wakes the pods that wait for their volumes, where an event of storage concerns them."""

        def helps(template: Template, refused_by: frozenset[str]) -> bool:
            framework = self._framework(template)
            return (
                framework is not None
                and any(STORAGE_CHANGED in framework.helped_by.get(name, NOTHING) for name in refused_by)
                and concerns(template)
            )

        if self.queue.has_unschedulable():
            self.queue.wake(helps, now)

    def _wake(self, event: str, row: int | None, now: float) -> None:
        """Wakes the pods that an event can help: one that changed a row for the better, or (None) the cluster."""
        if not self.queue.has_unschedulable():
            return
        if row is not None and self.nominated:
            here = self.cluster.node_name(row)
            for nomination in self.nominated.values():
                if nomination.node == here:
                    self.queue.rouse(nomination.pod.uid, now)

        def helps(template: Template, refused_by: frozenset[str]) -> bool:
            framework = self._framework(template)
            if framework is None or refused_by == FOR_GANG:
                # Those who wait for others of their group alone come along with them.
                return False
            if any(event in framework.helped_by.get(name, NOTHING) for name in refused_by):
                # Their verdict about one node may depend on what happened at another.
                return True
            try:
                return row is not None and framework.suits_row(template, row, late=True)
            except Exception:
                # A plugin that fails must not break the event; what it did is told when the pod is tried.
                return True

        self.queue.wake(helps, now)

    def _framework(self, template: Template) -> Framework | None:
        return self.frameworks.get(template.scheduler_name)

    # Attempts.

    def attempt(self, now: float) -> Placement | Refusal | Inquiry | None:
        """Tries the next pod; None when no pod may be tried now.

        An `Inquiry` leaves the pod in flight until it is answered by `settle` or ended by `inquiry_failed`. What was
        decided for the other members of a pod's group comes with the next calls.
        """
        if self._decided:
            return self._decided.popleft()
        entry = self.queue.pop(now)
        if entry is None:
            return None
        self._tried = [entry]
        pod = entry.pod
        framework = self._framework(pod.template)
        assert framework is not None, "only pods of known profiles are queued"
        key = key_of(pod.template)
        if key is not None and (lacking := self._lacking(key)) > 0:
            return self._attempt_gang(framework, key, entry, lacking, now)
        nomination = self._withdraw(pod.uid)
        row = self.cluster.rows.get(nomination.node) if nomination else None
        outcome = self._decide(framework, pod, row)
        if isinstance(outcome, Diagnosis):
            outcome = self._despite_nominations(framework, pod, outcome)
        if isinstance(outcome, Choice):
            asked = framework.asked(pod.template)
            if asked:
                return Inquiry(pod, framework.rank(pod.template), asked)
            self._remember(Memory(pod, now, outcome.node, self._position, None))
            return self._place(framework, entry, outcome.row, now)
        self._remember(Memory(pod, now, "", self._position, outcome))
        preemption: Preemption | None = None
        if nomination is not None and self._still_leaving(nomination):
            self._nominate(pod, nomination.node)
            outcome = replace(outcome, note=f"waiting for pods to leave {nomination.node}.")
        else:
            preemption, note = framework.preempt(pod.template, spared=spared)
            outcome = replace(outcome, note=note)
            if preemption is not None:
                self._nominate(pod, preemption.node)
        self.queue.refuse(pod.uid, outcome.plugins, now)
        kept = self.nominated.get(pod.uid)
        return Refusal(
            *(pod.message, UNSCHEDULABLE_REASON, str(outcome), outcome, preemption), nominated=kept.node if kept else ""
        )

    def _decide(self, framework: Framework, pod: PodInfo, preferred: int | None = None) -> Choice | Diagnosis:
        self._position = self.cluster.journal.position
        return framework.decide(pod, preferred=preferred)

    def _place(self, framework: Framework, entry: Entry, row: int, now: float) -> Placement:
        """Assumes a pod on the node of a row that suits it."""
        pod, node = entry.pod, self.cluster.node_name(row)
        plan: VolumePlan | None = None
        patient_s = ASSUMED_LONGEST_S
        if pod.template.volumes is not None:
            plan = framework.reserve(pod.template, row)
            if plan is not None:
                self.cluster.storage.promise(plan)
                patient_s += framework.volumes_timeout_s
        self.assumed[pod.uid] = Assumption(pod, node, now, volumes=plan, patient_s=patient_s)
        self.cluster.add_pod(pod, node)
        return Placement(
            pod, node, entry.attempts, now - entry.since, plan, framework.volumes_timeout_s if plan else 0.0
        )

    def settle(self, inquiry: Inquiry, judgements: Sequence[Judgement], now: float) -> Placement | Refusal | None:
        """Decides with what extenders said. None: the pod is gone, or what suited suits no more; it is tried again."""
        pod = inquiry.pod
        if self._consulted(pod, judgements, now):
            # What follows for its group comes with the next attempts.
            return None
        entry = self.queue.entries.get(pod.uid)
        framework = self._framework(pod.template)
        if entry is None or entry.state != IN_FLIGHT or framework is None:
            return None
        self._tried = [entry]
        if entry.pod.template is not pod.template:
            # It asks for something else now.
            self.queue.fail(pod.uid, now)
            return None
        scores, refused = weighed(inquiry.scores, judgements)
        if not scores:
            return self._refuse_after_inquiry(pod, framework, refused, judgements, now)
        while scores:
            highest = max(scores.values())
            node = framework.one_of([name for name, score in scores.items() if score == highest])
            row = self.cluster.rows.get(node)
            if row is not None and framework.suits_row(pod.template, row, late=True):
                position = self.cluster.journal.position
                self._remember(Memory(pod, now, node, position, None, tuple(judgements)))
                return self._place(framework, entry, row, now)
            del scores[node]
        self.queue.fail(pod.uid, now)
        return None

    def _refuse_after_inquiry(
        self,
        pod: PodInfo,
        framework: Framework,
        refused: dict[Reason, int],
        judgements: Sequence[Judgement],
        now: float,
    ) -> Refusal:
        others = dict(framework.diagnosis(pod.template).counts)
        counts = {**others, **refused}
        diagnosis = Diagnosis(sum(counts.values()), counts)
        self._remember(Memory(pod, now, "", self.cluster.journal.position, diagnosis, tuple(judgements)))
        self.queue.refuse(pod.uid, diagnosis.plugins, now)
        return Refusal(pod.message, UNSCHEDULABLE_REASON, str(diagnosis), diagnosis)

    def inquiry_failed(self, inquiry: Inquiry, why: str, now: float) -> Refusal:
        """An extender that cannot be done without gave no useful answer; the pod is tried again later."""
        if not self._consulted(inquiry.pod, None, now):
            self.queue.fail(inquiry.pod.uid, now)
        return Refusal(inquiry.pod.message, ERROR_REASON, why)

    # Groups.

    def _lacking(self, key: GangKey) -> int:
        """How many more members of a group need a node before any may run."""
        have = sum(
            not info.terminating and (bool(info.node_name) or uid in self.assumed)
            for uid, info in self.gangs.members(key).items()
        )
        return self.gangs.minimum(key) - have

    def _attempt_gang(
        self, framework: Framework, key: GangKey, entry: Entry, lacking: int, now: float
    ) -> Placement | Refusal | Inquiry | None:
        """Tries all members of a group that wait; `entry` is the one whose turn it is.

        Nothing is held while anything is undecided, so that two groups cannot wait for each other.
        """
        others = self.gangs.waiting(key, self.queue)
        if len(others) + 1 < lacking:
            present = self.gangs.minimum(key) - lacking + len(others) + 1
            return self._refuse_for_gang(entry, incomplete(key, present, self.gangs.minimum(key)), now)
        for other in others:
            self.queue.take(other)
        entries = self._tried = [entry, *others]
        asked = {one.pod.uid: framework.asked(one.pod.template) for one in entries}
        if key in self._consultations:
            # Others of its group are being asked about; it comes along the next time.
            for one in entries:
                self.queue.fail(one.pod.uid, now)
        elif any(asked.values()):
            self._consultations[key] = Consultation(entries)
            for one in entries:
                scores = framework.rank(one.pod.template)
                self._decided.append(Inquiry(one.pod, scores, asked[one.pod.uid] if scores else ()))
        else:
            self._decide_gang(framework, key, entries, lacking, {}, now)
        return self._next_decided()

    def _next_decided(self) -> Placement | Refusal | Inquiry | None:
        return self._decided.popleft() if self._decided else None

    def _consulted(self, pod: PodInfo, answer: Sequence[Judgement] | None, now: float) -> bool:
        """Takes in what extenders said of a member of a group, and decides when it was the last; whether it was one."""
        key = key_of(pod.template)
        consultation = self._consultations.get(key) if key is not None else None
        if key is None or consultation is None or all(one.pod.uid != pod.uid for one in consultation.entries):
            return False
        consultation.answers[pod.uid] = answer
        if len(consultation.answers) < len(consultation.entries):
            return True
        del self._consultations[key]
        framework = self._framework(pod.template)
        there = [
            one
            for one in consultation.entries
            if one.state == IN_FLIGHT and self.queue.entries.get(one.pod.uid) is one and not one.outdated
        ]
        for one in consultation.entries:
            if one not in there and one.state == IN_FLIGHT:
                self.queue.fail(one.pod.uid, now)
        self._tried = there
        if framework is not None and there:
            self._decide_gang(framework, key, there, self._lacking(key), consultation.answers, now)
        return True

    def _decide_gang(
        self,
        framework: Framework,
        key: GangKey,
        entries: list[Entry],
        lacking: int,
        answers: Mapping[str, Sequence[Judgement] | None],
        now: float,
    ) -> None:
        """Places at least as many members as are lacking, or none of them."""
        kept = {one.pod.uid: self._withdraw(one.pod.uid) for one in entries}
        placed: list[Placement] = []
        failed: dict[str, Diagnosis | None] = {}
        try:
            for position, one in enumerate(entries):
                if len(placed) + len(entries) - position < lacking:
                    break
                nomination = kept[one.pod.uid]
                row = self.cluster.rows.get(nomination.node) if nomination else None
                outcome = self._choose(framework, one.pod, row, answers)
                if isinstance(outcome, Choice):
                    placement = self._place(framework, one, outcome.row, now)
                    said = tuple(answers.get(one.pod.uid) or ())
                    self._remember(Memory(one.pod, now, outcome.node, self._position, None, said))
                    placed.append(placement)
                else:
                    failed[one.pod.uid] = outcome
        except BaseException:
            self._take_back(placed)
            raise
        if len(placed) < lacking:
            self._take_back(placed)
            self._refuse_gang(framework, key, entries, lacking, len(placed), failed, kept, now)
            return
        self._room_since.pop(key, None)
        self._gave_up.pop(key, None)
        members = frozenset(one.pod.uid for one in placed)
        crew = Crew(key, next(self._crews), members, max(lacking, 1), self.gangs.timeout_s(key))
        for placement in placed:
            self.assumed[placement.pod.uid].patient_s += crew.timeout_s
            self._decided.append(replace(placement, crew=crew))
        for one in entries:
            if one.pod.uid in failed:
                self._refuse_member(one, failed[one.pod.uid], now)

    def _choose(
        self,
        framework: Framework,
        pod: PodInfo,
        preferred: int | None,
        answers: Mapping[str, Sequence[Judgement] | None],
    ) -> Choice | Diagnosis | None:
        """A node for a member of a group, why there is none, or None when an extender failed."""
        outcome = self._decide(framework, pod, preferred)
        if pod.uid not in answers or isinstance(outcome, Diagnosis):
            return outcome
        answer = answers[pod.uid]
        if answer is None:
            return None
        scores, refused = weighed(framework.rank(pod.template), answer)
        if not scores:
            counts = {**framework.diagnosis(pod.template).counts, **refused}
            return Diagnosis(sum(counts.values()), counts)
        highest = max(scores.values())
        node = framework.one_of([name for name, score in scores.items() if score == highest])
        row = self.cluster.rows.get(node)
        assert row is not None, "only present nodes are ranked"
        return Choice(row, node, highest, len(scores))

    def _take_back(self, placed: Iterable[Placement]) -> None:
        """Undoes placements that nobody has heard of yet."""
        for one in placed:
            self._assume_no_more(one.pod.uid)
            self.cluster.remove_pod(one.pod.uid, one.node)

    def _refuse_gang(
        self,
        framework: Framework,
        key: GangKey,
        entries: list[Entry],
        lacking: int,
        found: int,
        failed: Mapping[str, Diagnosis | None],
        kept: Mapping[str, Nomination | None],
        now: float,
    ) -> None:
        """No member is placed: room is waited for, or made, for all who are lacking, or for none."""
        since = self._room_since.get(key)
        in_time = since is None or now - since < self.gangs.timeout_s(key)
        leaving = [one for one in kept.values() if one is not None and self._still_leaving(one)]
        made: dict[str, Preemption | None] = {}
        note = ""
        if leaving and in_time:
            for before in kept.values():
                if before is not None:
                    self._nominate(before.pod, before.node)
            note = f"waiting for pods to leave {', '.join(sorted({one.node for one in leaving}))}."
        elif None not in failed.values() and now - self._gave_up.get(key, -inf) >= self.gangs.timeout_s(key):
            made = self._room_for_gang(framework, entries, lacking)
            if made:
                self._room_since[key] = now
            else:
                self._room_since.pop(key, None)
        for one in entries:
            uid = one.pod.uid
            diagnosis = failed.get(uid)
            nomination = self.nominated.get(uid)
            if uid in failed and diagnosis is None:
                # Its extender failed, which is told already; when it comes back, it brings the others along.
                self.queue.fail(uid, now)
            elif diagnosis is None:
                self._decided.append(
                    self._refuse_for_gang(one, without_room(key, found, lacking), now, nomination, made.get(uid), note)
                )
            else:
                self._remember(Memory(one.pod, now, "", self.cluster.journal.position, diagnosis))
                self.queue.refuse(uid, diagnosis.plugins, now)
                told = replace(diagnosis, note=note or f'pod group "{key.name}": room for {found} of {lacking} pods.')
                self._decided.append(
                    Refusal(
                        *(one.pod.message, UNSCHEDULABLE_REASON, str(told), told, made.get(uid)),
                        nominated=nomination.node if nomination else "",
                    )
                )

    def _refuse_member(self, entry: Entry, diagnosis: Diagnosis | None, now: float) -> None:
        """A member finds no node while its group has enough: it waits by itself."""
        if diagnosis is None:
            self.queue.fail(entry.pod.uid, now)
            return
        self._remember(Memory(entry.pod, now, "", self.cluster.journal.position, diagnosis))
        self.queue.refuse(entry.pod.uid, diagnosis.plugins, now)
        self._decided.append(Refusal(entry.pod.message, UNSCHEDULABLE_REASON, str(diagnosis), diagnosis))

    def _refuse_for_gang(
        self,
        entry: Entry,
        reason: Reason,
        now: float,
        nomination: Nomination | None = None,
        preemption: Preemption | None = None,
        note: str = "",
    ) -> Refusal:
        """A member waits for others of its group; it is tried again together with them."""
        nodes = len(self.cluster.rows)
        diagnosis = Diagnosis(nodes, {reason: nodes} if nodes else {}, note=note)
        self.queue.refuse(entry.pod.uid, frozenset((GANG,)), now)
        return Refusal(
            *(entry.pod.message, UNSCHEDULABLE_REASON, str(diagnosis), diagnosis, preemption),
            nominated=nomination.node if nomination else "",
        )

    def _room_for_gang(self, framework: Framework, entries: list[Entry], lacking: int) -> dict[str, Preemption | None]:
        """Keeps room for as many members as are lacking, by preemption where need be; by uid. Empty: it cannot be made.

        It is thought through to the end before anybody is pushed out.
        """
        rooms: dict[str, tuple[str, Preemption | None]] = {}
        away: list[tuple[PodInfo, str]] = []
        with self.cluster.journal.paused():
            try:
                for entry in entries:
                    if len(rooms) == lacking:
                        break
                    outcome = framework.decide(entry.pod)
                    preemption: Preemption | None = None
                    if isinstance(outcome, Diagnosis):
                        preemption, _ = framework.preempt(entry.pod.template, spared=spared)
                        if preemption is None:
                            continue
                        for victim in preemption.victims:
                            self.cluster.remove_pod(victim.uid)
                            away.append((victim, preemption.node))
                    node = preemption.node if preemption else outcome.node  # type: ignore[union-attr]
                    rooms[entry.pod.uid] = node, preemption
                    self.cluster.add_pod(replace(entry.pod, uid=STAND_IN + entry.pod.uid, node_name=node), node)
            finally:
                for uid, (node, _) in rooms.items():
                    self.cluster.remove_pod(STAND_IN + uid, node)
                for victim, node in away:
                    self.cluster.add_pod(victim, node)
        if len(rooms) < lacking:
            return {}
        for entry in entries:
            if entry.pod.uid in rooms:
                self._nominate(entry.pod, rooms[entry.pod.uid][0])
        return {uid: preemption for uid, (_, preemption) in rooms.items()}

    def tend(self, now: float) -> None:
        """What is due now and then: who waited very long is tried again, room kept too long for a group is freed."""
        self.queue.flush(now)
        for key, since in [*self._room_since.items()]:
            if now - since < self.gangs.timeout_s(key):
                continue
            del self._room_since[key]
            self._gave_up[key] = now
            for uid in self.gangs.members(key):
                nomination = self._withdraw(uid)
                row = self.cluster.rows.get(nomination.node) if nomination else None
                if row is not None:
                    self._wake(POD_LEFT, row, now)

        for key in [key for key in self._gave_up if not self.gangs.members(key)]:
            del self._gave_up[key]

    def _despite_nominations(self, framework: Framework, pod: PodInfo, refused: Diagnosis) -> Choice | Diagnosis:
        """Tries again without the room that is kept for pods of lower priority; who comes first takes it."""
        lesser = [one for one in self.nominated.values() if one.pod.template.priority < pod.template.priority]
        if not lesser:
            return refused
        for one in lesser:
            self._withdraw(one.pod.uid)
        outcome = self._decide(framework, pod)
        for one in lesser:
            if isinstance(outcome, Diagnosis) or one.node != outcome.node:
                self._nominate(one.pod, one.node)
        return outcome

    def _nominate(self, pod: PodInfo, node: str) -> None:
        stand_in = replace(pod, uid=STAND_IN + pod.uid, node_name=node)
        self.nominated[pod.uid] = Nomination(pod, node, stand_in)
        self.cluster.add_pod(stand_in, node)

    def _withdraw(self, uid: str) -> Nomination | None:
        nomination = self.nominated.pop(uid, None)
        if nomination is not None:
            self.cluster.remove_pod(nomination.stand_in.uid, nomination.node)
        return nomination

    def _still_leaving(self, nomination: Nomination) -> bool:
        """Whether pods of lower priority are on their way out of the node."""
        row = self.cluster.rows.get(nomination.node)
        priority = nomination.pod.template.priority
        return row is not None and any(
            pod.terminating and pod.template.priority < priority
            for pod in self.cluster.pods.on_row.get(row, {}).values()
        )

    def _remember(self, memory: Memory) -> None:
        self.remembered[memory.pod.uid] = memory
        self.remembered.move_to_end(memory.pod.uid)
        if len(self.remembered) > REMEMBERED_MAX:
            self.remembered.popitem(last=False)

    def abandon(self, now: float, why: str = "") -> list[Refusal]:
        """A decision ended in an error: the pods that it was about back off, and are to be told why."""
        found, self._tried = self._tried, []
        failed = [entry for entry in found if entry.state == IN_FLIGHT and entry.pod.uid not in self.assumed]
        for entry in failed:
            self.queue.fail(entry.pod.uid, now)
        return [Refusal(entry.pod.message, ERROR_REASON, why) for entry in failed]

    def _assume_no_more(self, uid: str) -> Assumption | None:
        """Ends an assumption, and what was promised with it."""
        assumption = self.assumed.pop(uid, None)
        if assumption is not None and assumption.volumes is not None:
            self.cluster.storage.retract(assumption.volumes)
        return assumption

    def bound(self, uid: str) -> None:
        """The apiserver took the binding; the watch will show it."""
        assumption = self.assumed.get(uid)
        if assumption is not None:
            assumption.bound = True
        self.queue.remove(uid)

    def bind_failed(self, uid: str, now: float, *, gone: bool = False) -> None:
        """The apiserver did not take the binding: what was assumed is undone, and the pod is tried again later.

        Args:
            uid: the pod.
            now: the present.
            gone: the pod is gone, or has been bound by somebody else; it is not tried again.
        """
        assumption = self._assume_no_more(uid)
        if assumption is None:
            return
        row = self.cluster.remove_pod(uid, assumption.node)
        if gone:
            self.queue.remove(uid)
        else:
            self.queue.fail(uid, now)
        if row is not None:
            self._wake(POD_LEFT, row, now)
        if assumption.volumes is not None:
            self._wake_users(now, lambda template: template.volumes is not None)

    def overdue(self, now: float) -> list[Assumption]:
        """Assumptions that should have been confirmed by now; the truth is to be asked for."""
        return [one for one in self.assumed.values() if now - one.since >= one.patient_s]

    # Explanations.

    def state(self, uid: str) -> str:
        """The state in the queue of a pod; empty: it is not there."""
        entry = self.queue.entries.get(uid)
        return entry.state if entry else ""

    def find(self, namespace: str, name: str) -> PodInfo | None:
        """A pod that waits or was decided on lately."""
        for entry in self.queue.entries.values():
            if entry.pod.namespace == namespace and entry.pod.name == name:
                return entry.pod
        for memory in reversed(self.remembered.values()):
            if memory.pod.namespace == namespace and memory.pod.name == name:
                return memory.pod
        return None

    def explain(self, framework: Framework, info: PodInfo) -> tuple[list[NodeVerdict], Diagnosis]:
        """What every plugin says of every node for a pod now, and what it amounts to.

        A pod that is assumed or bound already does not stand in its own way, and neither does room kept for it.
        """
        cluster = self.cluster
        away = []
        with cluster.journal.paused():
            for uid in (info.uid, STAND_IN + info.uid):
                placed = cluster.pods.placed.get(uid)
                if placed is not None:
                    away.append((placed.info, cluster.node_name(placed.row)))
                    cluster.remove_pod(uid)
            try:
                return framework.explain(info.template), framework.diagnosis(info.template)
            finally:
                for one, node in away:
                    cluster.add_pod(one, node)

    def explain_past(self, memory: Memory) -> list[NodeVerdict] | None:
        """What every plugin said of every node when a decision was made; None: too much has happened since."""
        framework = self._framework(memory.pod.template)
        if framework is None or memory.position < self.cluster.journal.oldest:
            return None
        with self.cluster.as_of(memory.position):
            return framework.explain(memory.pod.template, memory.judgements)

    def read(self, pod: Pod) -> PodInfo:
        """A pod that need not exist.

        Raises:
            PodError: it makes no sense.
        """
        return self._reader.read(pod)
