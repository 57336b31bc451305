"""The scheduler's state of mind: what is where, who waits, what was decided. Events in, attempts out; no IO, no clock.

A pod that gets a node is *assumed* there at once, so that the next decision counts it, long before the apiserver has
taken the binding. The assumption ends when the pod is seen bound, when the binding fails, or when it is given up.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from steersman.core.v1 import Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service
from steersman.policy.v1 import PodDisruptionBudget
from steersman.selectors import Selector
from steersman.storage.v1 import CSINode, StorageClass, VolumeAttachment

from scheduler.columns.budgets import budget_of
from scheduler.columns.cluster import Cluster
from scheduler.columns.storage import drivers_of
from scheduler.extender import ExtenderSpec, Judgement
from scheduler.framework import Choice, Evidence, Framework
from scheduler.plugins.default_preemption import Preemption
from scheduler.plugins.plugin import NAMESPACE_CHANGED, NODE_CHANGED, POD_CAME, POD_LEFT, STORAGE_CHANGED
from scheduler.pod import DEFAULT_SCHEDULER, PodError, PodInfo, PodReader, Template
from scheduler.queue import GATED, IN_FLIGHT, Entry, Queue
from scheduler.reasons import Diagnosis, Reason
from scheduler.volumes import ClaimKey, VolumePlan, claim_of, class_of, volume_of

REMEMBERED_MAX = 256
STAND_IN = "nominated/"
NOTHING: frozenset[str] = frozenset()
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
    """

    pod: PodInfo
    node: str
    attempts: int
    waited_s: float
    volumes: VolumePlan | None = None
    volumes_timeout_s: float = 0.0


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


@dataclass(frozen=True)
class Memory:
    """A decision that was made.

    Attributes:
        pod: the pod.
        at: when, on the clock that never goes back.
        node: where it went; empty: nowhere.
        evidence: what every node looked like.
        diagnosis: why it went nowhere; None: it did not.
    """

    pod: PodInfo
    at: float
    node: str
    evidence: Evidence
    diagnosis: Diagnosis | None


def claims_of(template: Template) -> list[ClaimKey]:
    """The claims that pods of a template use."""
    volumes = template.volumes
    return [(template.namespace, use.name) for use in volumes.claims] if volumes is not None else []


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
        self._reader = PodReader()

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
        if pod.spec.node_name:
            return
        self.reports.append(Refusal(pod, ERROR_REASON, f"the pod cannot be scheduled: {reason}"))

    def _pod_gone(self, pod: Pod, now: float) -> None:
        uid = pod.metadata.uid
        self.queue.remove(uid)
        self._assume_no_more(uid)
        self._withdraw(uid)
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
            changed = self.cluster.pods.set_namespace(new.metadata.name, dict(new.metadata.labels))
        else:
            changed = old is not None and self.cluster.pods.set_namespace(old.metadata.name, None)
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
            if framework is None:
                return False
            if any(event in framework.helped_by.get(name, NOTHING) for name in refused_by):
                # Their verdict about one node may depend on what happened at another.
                return True
            return row is not None and framework.suits_row(template, row, late=True)

        self.queue.wake(helps, now)

    def _framework(self, template: Template) -> Framework | None:
        return self.frameworks.get(template.scheduler_name)

    # Attempts.

    def attempt(self, now: float) -> Placement | Refusal | Inquiry | None:
        """Tries the next pod; None when no pod may be tried now.

        An `Inquiry` leaves the pod in flight until it is answered by `settle` or ended by `inquiry_failed`.
        """
        entry = self.queue.pop(now)
        if entry is None:
            return None
        pod = entry.pod
        framework = self._framework(pod.template)
        assert framework is not None, "only pods of known profiles are queued"
        nomination = self._withdraw(pod.uid)
        row = self.cluster.rows.get(nomination.node) if nomination else None
        outcome = framework.decide(pod, preferred=row)
        if isinstance(outcome, Diagnosis):
            outcome = self._despite_nominations(framework, pod, outcome)
        if isinstance(outcome, Choice):
            asked = tuple(one for one in framework.profile.extenders if one.concerns(pod.template))
            if asked:
                return Inquiry(pod, framework.rank(pod.template), asked)
            self._remember(Memory(pod, now, outcome.node, framework.evidence(), None))
            return self._place(framework, entry, outcome.row, now)
        self._remember(Memory(pod, now, "", framework.evidence(), outcome))
        preemption: Preemption | None = None
        if nomination is not None and self._still_leaving(nomination):
            self._nominate(pod, nomination.node)
            outcome = replace(outcome, note=f"waiting for pods to leave {nomination.node}.")
        else:
            preemption, note = framework.preempt(pod.template, spared=lambda other: other.uid.startswith(STAND_IN))
            outcome = replace(outcome, note=note)
            if preemption is not None:
                self._nominate(pod, preemption.node)
        self.queue.refuse(pod.uid, outcome.plugins, now)
        kept = self.nominated.get(pod.uid)
        return Refusal(
            *(pod.message, UNSCHEDULABLE_REASON, str(outcome), outcome, preemption), nominated=kept.node if kept else ""
        )

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
        entry = self.queue.entries.get(pod.uid)
        framework = self._framework(pod.template)
        if entry is None or entry.state != IN_FLIGHT or framework is None:
            return None
        if entry.pod.template is not pod.template:
            # It asks for something else now.
            self.queue.fail(pod.uid, now)
            return None
        scores = dict(inquiry.scores)
        refused: dict[Reason, int] = {}
        for judgement in judgements:
            extender = judgement.extender
            for node, text in judgement.refusals.items():
                if scores.pop(node, None) is not None:
                    reason = Reason(extender.name, "EXTENDER", text, resolvable=False)
                    refused[reason] = refused.get(reason, 0) + 1
            for node, score in judgement.scores.items():
                if node in scores:
                    scores[node] += score * extender.weight
        if not scores:
            return self._refuse_after_inquiry(pod, framework, refused, now)
        while scores:
            highest = max(scores.values())
            node = framework.one_of([name for name, score in scores.items() if score == highest])
            row = self.cluster.rows.get(node)
            if row is not None and framework.suits_row(pod.template, row, late=True):
                return self._place(framework, entry, row, now)
            del scores[node]
        self.queue.fail(pod.uid, now)
        return None

    def _refuse_after_inquiry(
        self, pod: PodInfo, framework: Framework, refused: dict[Reason, int], now: float
    ) -> Refusal:
        others = dict(framework.diagnosis(pod.template).counts)
        counts = {**others, **refused}
        diagnosis = Diagnosis(sum(counts.values()), counts)
        self.queue.refuse(pod.uid, diagnosis.plugins, now)
        return Refusal(pod.message, UNSCHEDULABLE_REASON, str(diagnosis), diagnosis)

    def inquiry_failed(self, inquiry: Inquiry, why: str, now: float) -> Refusal:
        """An extender that cannot be done without gave no useful answer; the pod is tried again later."""
        self.queue.fail(inquiry.pod.uid, now)
        return Refusal(inquiry.pod.message, ERROR_REASON, why)

    def _despite_nominations(self, framework: Framework, pod: PodInfo, refused: Diagnosis) -> Choice | Diagnosis:
        """Tries again without the room that is kept for pods of lower priority; who comes first takes it."""
        lesser = [one for one in self.nominated.values() if one.pod.template.priority < pod.template.priority]
        if not lesser:
            return refused
        for one in lesser:
            self._withdraw(one.pod.uid)
        outcome = framework.decide(pod)
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

    def abandon(self, now: float) -> None:
        """A decision ended in an error: the pod that was in flight backs off."""
        for uid in [uid for uid, e in self.queue.entries.items() if e.state == IN_FLIGHT and uid not in self.assumed]:
            self.queue.fail(uid, now)

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

    def read(self, pod: Pod) -> PodInfo:
        """A pod that need not exist.

        Raises:
            PodError: it makes no sense.
        """
        return self._reader.read(pod)
