"""What is where, who waits, and what is reckoned with: events change it, and attempts.

A pod that gets a node is *assumed* there at once, so that the next decision counts it, long before the apiserver has
taken the binding. The assumption ends when the pod is seen bound, when the binding fails, or when it is given up.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from steersman.core.v1 import Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service
from steersman.policy.v1 import PodDisruptionBudget
from steersman.selectors import Selector
from steersman.storage.v1 import CSINode, StorageClass, VolumeAttachment

from scheduler.columns.budgets import budget_of
from scheduler.columns.cluster import Cluster
from scheduler.columns.storage import drivers_of
from scheduler.framework import Choice, Framework
from scheduler.gangs import GangKey, Gangs
from scheduler.outcomes import (
    ASSUMED_LONGEST_S,
    ERROR_REASON,
    FOR_GANG,
    GATED_MESSAGE,
    GATED_REASON,
    NOTHING,
    REMEMBERED_MAX,
    STAND_IN,
    Assumption,
    Consultation,
    Inquiry,
    Memory,
    Nomination,
    Placement,
    Refusal,
    claims_of,
)
from scheduler.plugins.default_preemption import pushed_out
from scheduler.plugins.plugin import NAMESPACE_CHANGED, NODE_CHANGED, POD_CAME, POD_LEFT, STORAGE_CHANGED
from scheduler.pod import DEFAULT_SCHEDULER, PodError, PodInfo, PodReader, Template
from scheduler.queue import GATED, Entry, Queue
from scheduler.reasons import Diagnosis
from scheduler.volumes import VolumePlan, claim_of, class_of, volume_of


class Ledger:
    """The scheduler's state of mind. No IO, no clock."""

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
            # One that was there already may ask for less now.
            self._wake(POD_CAME, row if placed is not None else None, now)

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

    def _nominate(self, pod: PodInfo, node: str, victims: frozenset[str] = frozenset()) -> None:
        stand_in = replace(pod, uid=STAND_IN + pod.uid, node_name=node)
        self.nominated[pod.uid] = Nomination(pod, node, stand_in, victims)
        self.cluster.add_pod(stand_in, node)

    def _withdraw(self, uid: str) -> Nomination | None:
        nomination = self.nominated.pop(uid, None)
        if nomination is not None:
            self.cluster.remove_pod(nomination.stand_in.uid, nomination.node)
        return nomination

    def _still_leaving(self, nomination: Nomination) -> bool:
        """Whether pods that were pushed out, of lower priority, are on their way out of the node.

        Whoever leaves for another reason makes no room for anybody in particular, and may take long.
        """
        row = self.cluster.rows.get(nomination.node)
        priority = nomination.pod.template.priority
        return row is not None and any(
            pod.terminating and pod.template.priority < priority and (pod.uid in nomination.victims or pushed_out(pod))
            for pod in self.cluster.pods.on_row.get(row, {}).values()
        )

    def _remember(self, memory: Memory) -> None:
        self.remembered[memory.pod.uid] = memory
        self.remembered.move_to_end(memory.pod.uid)
        if len(self.remembered) > REMEMBERED_MAX:
            self.remembered.popitem(last=False)

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
