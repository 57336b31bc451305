"""Attempts to place pods: events in, attempts out; no IO, no clock.

`ledger` knows what is where and who waits, `gang_attempts` places groups, and this module single pods; it explains what
was decided as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from steersman.core.v1 import Pod

from scheduler.extender import Judgement
from scheduler.framework import Choice, Framework, NodeVerdict
from scheduler.gang_attempts import GangAttempts
from scheduler.gangs import key_of
from scheduler.outcomes import (
    ERROR_REASON,
    STAND_IN,
    UNSCHEDULABLE_REASON,
    Inquiry,
    Memory,
    Placement,
    Refusal,
    spared,
    weighed,
)
from scheduler.plugins.default_preemption import Preemption
from scheduler.pod import PodInfo
from scheduler.queue import IN_FLIGHT
from scheduler.reasons import Diagnosis, Reason


class Schedule(GangAttempts):
    """Places pods. One instance serves all profiles, for they share the nodes."""

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
        if (
            nomination is not None
            and row is not None
            and framework.may_be_resolved(row)
            and self._still_leaving(nomination)
        ):
            self._nominate(pod, nomination.node, nomination.victims)
            outcome = replace(outcome, note=f"waiting for pods to leave {nomination.node}.")
        else:
            preemption, note = framework.preempt(pod.template, spared=spared)
            outcome = replace(outcome, note=note)
            if preemption is not None:
                self._nominate(pod, preemption.node, preemption.uids)
        self.queue.refuse(pod.uid, outcome.plugins, now)
        kept = self.nominated.get(pod.uid)
        return Refusal(
            *(pod.message, UNSCHEDULABLE_REASON, str(outcome), outcome, preemption), nominated=kept.node if kept else ""
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
                self._nominate(one.pod, one.node, one.victims)
        return outcome

    def abandon(self, now: float, why: str = "") -> list[Refusal]:
        """A decision ended in an error: the pods that it was about back off, and are to be told why."""
        found, self._tried = self._tried, []
        failed = [entry for entry in found if entry.state == IN_FLIGHT and entry.pod.uid not in self.assumed]
        for entry in failed:
            self.queue.fail(entry.pod.uid, now)
        return [Refusal(entry.pod.message, ERROR_REASON, why) for entry in failed]

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
