"""One watch."""

from __future__ import annotations

from collections.abc import Callable

from store.errors import Compacted
from store.mvcc.interval import Interval
from store.mvcc.keyspace import Keyspace
from store.mvcc.version import Change, varint

# What a watcher may have waiting; beyond it, it reads from the keyspace's log instead.
PENDING_BYTES_MAX = 1024 * 1024
# Bounds on what one answer brings and on how far it looks for that.
ANSWER_BYTES = 1024 * 1024
ANSWER_REVISIONS = 1000


class Watcher:
    """Knows which changes are still to be told, in memory that does not grow with how slow the other side is.

    While it keeps up (`synced`), changes are handed to it and wait here. When too much waits, it forgets what waits
    and remembers only the revision to go on from; the keyspace's log has the rest. If that is compacted before the
    watcher gets there, the watch ends.
    """

    __slots__ = (
        "_pending",
        "_pending_bytes",
        "identifier",
        "interval",
        "name",
        "next_revision",
        "no_deletes",
        "no_puts",
        "queued",
        "synced",
        "wake",
        "with_before",
    )

    def __init__(
        self,
        identifier: int,
        interval: Interval,
        next_revision: int,
        *,
        with_before: bool,
        no_puts: bool,
        no_deletes: bool,
        wake: Callable[[Watcher], None],
    ) -> None:
        """A watcher of `interval` from `next_revision` on; `wake(self)` is called when there is something to tell.

        Attributes:
            name: the identifier as a field of `WatchResponse`.
            queued: whether its stream has it in line to be heard; the stream's business.
        """
        self.identifier = identifier
        self.name = b"\x10" + varint(identifier) if identifier else b""
        self.queued = False
        self.interval = interval
        self.next_revision = next_revision
        self.with_before = with_before
        self.no_puts = no_puts
        self.no_deletes = no_deletes
        self.wake = wake
        self.synced = False
        self._pending: list[tuple[int, bytes]] = []
        self._pending_bytes = 0

    def _wants(self, change: Change) -> bool:
        return not (self.no_deletes if change.after.version == 0 else self.no_puts)

    def offer(self, revision: int, change: Change) -> None:
        """A change in the interval happened."""
        if not self.synced or revision < self.next_revision or not self._wants(change):
            return
        framed = change.framed(self.with_before)
        self._pending.append((revision, framed))
        self._pending_bytes += len(framed)
        if self._pending_bytes > PENDING_BYTES_MAX:
            self.fall_back()
        self.wake(self)

    def fall_back(self) -> None:
        """Goes on from the keyspace's log, from the first change that was not told."""
        if self._pending:
            self.next_revision = self._pending[0][0]
        self._pending = []
        self._pending_bytes = 0
        self.synced = False

    def take(self, keyspace: Keyspace) -> list[bytes]:
        """The next events to tell, ready for `WatchResponse.events`; all of a revision or none of it.

        When it returns nothing and `synced` is set, nothing is left to tell.

        Raises:
            Compacted: the history it needs is gone.
        """
        if self.synced:
            pending, self._pending, self._pending_bytes = self._pending, [], 0
            self.next_revision = max(self.next_revision, keyspace.revision + 1)
            return [framed for _, framed in pending]
        return self._catch_up(keyspace)

    def _catch_up(self, keyspace: Keyspace) -> list[bytes]:
        if self.next_revision < keyspace.compact_revision:
            raise Compacted(keyspace.compact_revision)
        events: list[bytes] = []
        size = 0
        revision = max(self.next_revision, keyspace.log_start)
        last = min(keyspace.revision, revision + ANSWER_REVISIONS - 1)
        while revision <= last and size < ANSWER_BYTES:
            for version in keyspace.log[revision - keyspace.log_start]:
                if version.key in self.interval:
                    change = Change(version, keyspace.before(version) if self.with_before else None)
                    if self._wants(change):
                        framed = change.framed(self.with_before)
                        events.append(framed)
                        size += len(framed)
            revision += 1
        self.next_revision = max(self.next_revision, revision)
        self.synced = revision > keyspace.revision
        return events
