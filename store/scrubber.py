"""Frees what compaction made unreadable, a little at a time between other work."""

from __future__ import annotations

import asyncio

from etcd.log_pb2 import Proposal

from store.machine import Outcome
from store.replica import Replica

# Revisions per step: a millisecond or two.
STEP_REVISIONS = 500


class Scrubber:
    """Runs after each compaction. `history` is held while it works: whoever needs history to stay holds it too."""

    def __init__(self, replica: Replica, history: asyncio.Lock) -> None:
        self._replica = replica
        self._history = history
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        replica.on_applied(self._applied)
        replica.on_change(lambda _revision, _changes: None, self._want)

    def _applied(self, proposal: Proposal, outcome: Outcome) -> None:
        if outcome.error is None and proposal.HasField("compaction"):
            self._want()

    def _want(self) -> None:
        self._idle.clear()
        self._wanted.set()

    async def finished(self) -> None:
        """Returns when everything compacted so far is freed."""
        await self._idle.wait()

    def start(self) -> None:
        """Begins to work."""
        self._task = asyncio.create_task(self._run())
        self._want()

    async def stop(self) -> None:
        """Ceases to work."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            more = True
            while more:
                async with self._history:
                    more = self._replica.machine.keyspace.scrub(STEP_REVISIONS)
                await asyncio.sleep(0)
            if not self._wanted.is_set():
                self._idle.set()
