"""When leases end, on the clock of the leader. Only the leader keeps this; a new leader starts it anew."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from store.lease.table import Lease


class Deadlines:
    """Deadlines of leases in seconds of a monotonic clock that the caller reads.

    A new leader gives every lease all the time it had left at its last checkpoint, counted from its own election: a
    lease can live longer than asked for through a change of leader, never shorter.
    """

    def __init__(self) -> None:
        self._deadlines: dict[int, float] = {}
        self._queue: list[tuple[float, int]] = []

    def start(self, leases: Iterable[Lease], now: float) -> None:
        """Begins with these leases, as a new leader does."""
        self.stop()
        for lease in leases:
            self.set(lease.identifier, now + (lease.remaining or lease.ttl))

    def stop(self) -> None:
        """Forgets everything, as a leader does that is one no longer."""
        self._deadlines.clear()
        self._queue.clear()

    def set(self, identifier: int, deadline: float) -> None:
        """Gives the lease time until `deadline`."""
        self._deadlines[identifier] = deadline
        heapq.heappush(self._queue, (deadline, identifier))

    def forget(self, identifier: int) -> None:
        """The lease is gone; its place in the queue is skipped when its turn comes."""
        self._deadlines.pop(identifier, None)

    def remaining(self, identifier: int, now: float) -> float | None:
        """Seconds left, negative when overdue; None when the lease is not kept here."""
        deadline = self._deadlines.get(identifier)
        return None if deadline is None else deadline - now

    def due(self, now: float, limit: int) -> list[int]:
        """Up to `limit` leases whose time is up. They stay due until they are forgotten or set anew."""
        found: dict[int, float] = {}
        while self._queue and self._queue[0][0] <= now and len(found) < limit:
            deadline, identifier = heapq.heappop(self._queue)
            if self._deadlines.get(identifier) == deadline:
                found[identifier] = deadline
        for identifier, deadline in found.items():
            heapq.heappush(self._queue, (deadline, identifier))
        return list(found)

    def next_deadline(self) -> float | None:
        """The earliest deadline, or None."""
        while self._queue and self._deadlines.get(self._queue[0][1]) != self._queue[0][0]:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None
