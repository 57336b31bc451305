"""Attempts at groups of pods: all that are needed, or none. Nothing is held while anything is undecided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf

from scheduler.extender import Judgement
from scheduler.framework import Choice, Framework
from scheduler.gangs import NAME as GANG
from scheduler.gangs import Crew, GangKey, incomplete, key_of, without_room
from scheduler.ledger import Ledger
from scheduler.outcomes import (
    STAND_IN,
    UNSCHEDULABLE_REASON,
    Consultation,
    Inquiry,
    Memory,
    Nomination,
    Placement,
    Refusal,
    spared,
    weighed,
)
from scheduler.plugins.default_preemption import Preemption
from scheduler.plugins.plugin import POD_LEFT
from scheduler.pod import PodInfo
from scheduler.queue import IN_FLIGHT, Entry
from scheduler.reasons import Diagnosis, Reason


class GangAttempts(Ledger):
    """Decides on the members of a group together."""

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
                    self._nominate(before.pod, before.node, before.victims)
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
                node, preemption = rooms[entry.pod.uid]
                self._nominate(entry.pod, node, preemption.uids if preemption else frozenset())
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
