"""Compacts by itself, at the leader: what is older than a time, or further back than a number of revisions."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog
from etcd.rpc_pb2 import CompactionRequest

from store.errors import StoreError
from store.raft import proposer as kinds
from store.raft.proposer import Proposer
from store.replica import Replica

log = structlog.get_logger(__name__)

# By time: looked at so often in each retention, and this often at most and at least.
LOOKS_PER_RETENTION = 10
LOOK_AT_MOST_EVERY_S = 1.0
LOOK_AT_LEAST_EVERY_S = 3600.0
LOOK_FOR_REVISIONS_EVERY_S = 5.0


class Retention:
    """Up to where history may go. Pure: it is told the time.

    By time it remembers which revision was the newest when; `keep` are seconds. By number, `keep` are revisions.
    """

    def __init__(self, mode: str, keep: float) -> None:
        self._periodic = mode == "periodic"
        self._keep = keep
        self._seen: deque[tuple[float, int]] = deque()

    @property
    def look_every_s(self) -> float:
        """How often to look."""
        if not self._periodic:
            return LOOK_FOR_REVISIONS_EVERY_S
        return min(LOOK_AT_LEAST_EVERY_S, max(LOOK_AT_MOST_EVERY_S, self._keep / LOOKS_PER_RETENTION))

    def compact_to(self, now: float, revision: int) -> int:
        """The revision to compact to, given the newest one; 0 for none."""
        if not self._periodic:
            return max(0, revision - int(self._keep))
        self._seen.append((now, revision))
        old = 0
        while self._seen and self._seen[0][0] <= now - self._keep:
            _, old = self._seen.popleft()
        return old


class Compactor:
    """Asks the retention now and then, and proposes what it says."""

    def __init__(self, replica: Replica, proposer: Proposer, retention: Retention, clock: Callable[[], float]) -> None:
        self._replica = replica
        self._proposer = proposer
        self._retention = retention
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ceases to look."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._retention.look_every_s)
            keyspace = self._replica.machine.keyspace
            revision = self._retention.compact_to(self._clock(), keyspace.revision)
            if revision <= keyspace.compact_revision or not self._proposer.status().is_leader:
                continue
            try:
                request = CompactionRequest(revision=revision)
                outcome = await self._proposer.propose(kinds.COMPACTION, request.SerializeToString())
            except StoreError as error:
                log.info("history was not compacted", reason=type(error).__name__)
                continue
            if outcome.error is None:
                log.info("history compacted", revision=revision)
