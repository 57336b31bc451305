"""The pods that wait, and when each may be tried again.

    gated          held back by scheduling gates, until the pod itself changes
    active         to be tried now, highest priority first, then the one that has waited longest
    backing off    was tried in vain or failed; becomes active when its delay is over
    unschedulable  no node suited it; waits for an event that can help, and is looked at again now and then in any case

Pure: time is passed in, in seconds of a clock that never goes back.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from scheduler.pod import PodInfo, Template

BACKOFF_FIRST_S = 1.0
BACKOFF_LONGEST_S = 10.0
# What no event brought back is looked at again after this long, so that nothing is forgotten for ever.
UNSCHEDULABLE_LONGEST_S = 300.0

ACTIVE, BACKING_OFF, UNSCHEDULABLE, GATED, IN_FLIGHT = "active", "backing off", "unschedulable", "gated", "in flight"


def backoff_s(attempts: int) -> float:
    """How long a pod that was tried so often must wait after an attempt, seconds."""
    return min(BACKOFF_LONGEST_S, BACKOFF_FIRST_S * 2.0 ** min(max(attempts - 1, 0), 10))


@dataclass(eq=False, slots=True)
class Entry:
    """A pod in the queue.

    Attributes:
        pod: the pod as last seen.
        since: when it was first seen.
        state: where it is.
        attempts: how often it was tried.
        refused_by: the plugins that refused it the last time.
        parked: when it became unschedulable, or until when it backs off.
        outdated: it was changed while it was in flight, so that the attempt says nothing about it.
    """

    pod: PodInfo
    since: float
    state: str = ACTIVE
    attempts: int = 0
    refused_by: frozenset[str] = frozenset()
    parked: float = 0.0
    outdated: bool = False


@dataclass
class Queue:
    """Pods that have no node yet."""

    entries: dict[str, Entry] = field(default_factory=dict)
    """By uid."""
    _active: list[tuple[int, float, int, Entry]] = field(default_factory=list)
    _backoff: list[tuple[float, int, Entry]] = field(default_factory=list)
    _unschedulable: dict[Template, dict[str, Entry]] = field(default_factory=dict)
    _order: Iterator[int] = field(default_factory=itertools.count)

    def __len__(self) -> int:
        """How many pods wait."""
        return len(self.entries)

    def has_unschedulable(self) -> bool:
        """Whether any pod waits for an event."""
        return bool(self._unschedulable)

    def put(self, pod: PodInfo, now: float) -> None:
        """Takes in a pod, new or changed. One that asks for something else now is tried at once."""
        entry = self.entries.get(pod.uid)
        if entry is None:
            entry = self.entries[pod.uid] = Entry(pod, now)
            self._admit(entry, now)
            return
        same = entry.pod.template is pod.template
        entry.pod = pod
        if same:
            return
        if entry.state == IN_FLIGHT:
            entry.outdated = True
            return
        self._leave(entry)
        self._admit(entry, now)

    def _admit(self, entry: Entry, now: float) -> None:
        if entry.pod.template.gates:
            entry.state = GATED
        else:
            self._activate(entry, now)

    def _activate(self, entry: Entry, now: float) -> None:
        entry.state = ACTIVE
        entry.parked = now
        heapq.heappush(self._active, (-entry.pod.template.priority, entry.since, next(self._order), entry))

    def _leave(self, entry: Entry) -> None:
        """Takes an entry out of where it is; heaps forget it when they come to it."""
        if entry.state == UNSCHEDULABLE:
            # The template may have changed since; the entry is where it was put.
            for template in [entry.pod.template, *self._unschedulable]:
                alike = self._unschedulable.get(template)
                if alike is not None and entry.pod.uid in alike:
                    del alike[entry.pod.uid]
                    if not alike:
                        del self._unschedulable[template]
                    break
        entry.state = ""

    def remove(self, uid: str) -> PodInfo | None:
        """Forgets a pod: it is bound or deleted."""
        entry = self.entries.pop(uid, None)
        if entry is None:
            return None
        self._leave(entry)
        return entry.pod

    def pop(self, now: float) -> Entry | None:
        """The pod to try next; None when none may be tried now. It stays in the queue, in flight."""
        self._advance(now)
        while self._active:
            priority, since, order, entry = heapq.heappop(self._active)
            if entry.state != ACTIVE or self.entries.get(entry.pod.uid) is not entry:
                continue
            if -priority != entry.pod.template.priority:
                heapq.heappush(self._active, (-entry.pod.template.priority, since, order, entry))
                continue
            entry.state = IN_FLIGHT
            entry.outdated = False
            entry.attempts += 1
            return entry
        return None

    def take(self, entry: Entry) -> None:
        """Takes out an entry that waits, to be tried beside the one that `pop` gave; it is in flight then."""
        self._leave(entry)
        entry.state = IN_FLIGHT
        entry.outdated = False
        entry.attempts += 1

    def _advance(self, now: float) -> None:
        """Activates what has backed off long enough or waited too long."""
        while self._backoff and self._backoff[0][0] <= now:
            until, _, entry = heapq.heappop(self._backoff)
            if entry.state == BACKING_OFF and entry.parked == until and self.entries.get(entry.pod.uid) is entry:
                self._activate(entry, now)

    def flush(self, now: float) -> int:
        """Gives those that have been unschedulable for a very long time another chance; returns how many."""
        stale = [
            entry
            for alike in self._unschedulable.values()
            for entry in alike.values()
            if now - entry.parked >= UNSCHEDULABLE_LONGEST_S
        ]
        for entry in stale:
            self._leave(entry)
            self._activate(entry, now)
        return len(stale)

    def next_s(self, now: float) -> float | None:
        """In how many seconds a pod that backs off becomes active; None: none does."""
        return max(0.0, self._backoff[0][0] - now) if self._backoff else None

    def refuse(self, uid: str, refused_by: frozenset[str], now: float) -> None:
        """A pod that is in flight found no node."""
        entry = self.entries.get(uid)
        if entry is None:
            return
        if entry.outdated:
            self._admit(entry, now)
            return
        entry.refused_by = refused_by
        entry.state = UNSCHEDULABLE
        entry.parked = now
        self._unschedulable.setdefault(entry.pod.template, {})[uid] = entry

    def fail(self, uid: str, now: float) -> None:
        """A pod that is in flight could not be bound, which is nobody's fault: it is tried again after a delay."""
        entry = self.entries.get(uid)
        if entry is None:
            return
        if entry.outdated:
            self._admit(entry, now)
        else:
            self._back_off(entry, now)

    def _back_off(self, entry: Entry, now: float) -> None:
        entry.state = BACKING_OFF
        entry.parked = now + backoff_s(entry.attempts)
        heapq.heappush(self._backoff, (entry.parked, next(self._order), entry))

    def rouse(self, uid: str, now: float) -> None:
        """Gives one unschedulable pod another chance at once: what it waits for may have happened."""
        entry = self.entries.get(uid)
        if entry is not None and entry.state == UNSCHEDULABLE:
            self._leave(entry)
            self._activate(entry, now)

    def wake(self, helps: Callable[[Template, frozenset[str]], bool], now: float) -> int:
        """Gives unschedulable pods another chance after an event.

        Args:
            helps: whether the event can help pods of a template that were refused by these plugins.
            now: the present.

        Returns:
            How many pods were woken. One whose delay since its last attempt is not over backs off for the rest of it.
        """
        woken = 0
        for template in [*self._unschedulable]:
            alike = self._unschedulable[template]
            verdicts: dict[frozenset[str], bool] = {}
            for uid, entry in [*alike.items()]:
                verdict = verdicts.get(entry.refused_by)
                if verdict is None:
                    verdict = verdicts[entry.refused_by] = helps(template, entry.refused_by)
                if verdict:
                    del alike[uid]
                    ready = entry.parked + backoff_s(entry.attempts)
                    if ready <= now:
                        self._activate(entry, now)
                    else:
                        entry.state = BACKING_OFF
                        entry.parked = ready
                        heapq.heappush(self._backoff, (ready, next(self._order), entry))
                    woken += 1
            if not alike:
                del self._unschedulable[template]
        return woken

    def counts(self) -> dict[str, int]:
        """How many pods are in which state."""
        result = dict.fromkeys((ACTIVE, BACKING_OFF, UNSCHEDULABLE, GATED, IN_FLIGHT), 0)
        for entry in self.entries.values():
            result[entry.state] = result.get(entry.state, 0) + 1
        return result
