"""The limit of what a member holds: at it the alarm is raised, and taken back when there is room again."""

from __future__ import annotations

import asyncio

import structlog
from etcd.rpc_pb2 import NOSPACE, AlarmRequest

from store.errors import NoSpace, StoreError
from store.raft import proposer as kinds
from store.raft.proposer import Proposer
from store.replica import Replica

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.5
# The alarm goes when this share of the quota is in use, so that it does not come back with the next put.
ROOM = 0.95


class Quota:
    """Watches over the size of this member's keys and history.

    While any member has raised the alarm, the state machine refuses puts and leases at all of them; reads, deletions
    and compactions go on. Nobody has to clear the alarm: the member that raised it does, once it has room.
    """

    def __init__(self, replica: Replica, proposer: Proposer, member: int, limit: int) -> None:
        """A quota of `limit` bytes for `member`."""
        self._replica = replica
        self._proposer = proposer
        self._member = member
        self._limit = limit
        self._task: asyncio.Task[None] | None = None

    @property
    def _raised(self) -> bool:
        return (self._member, NOSPACE) in self._replica.machine.alarms

    async def admit(self, size: int) -> None:
        """Lets a request that adds `size` bytes pass. Raises NoSpace; the alarm is then raised."""
        if self._replica.machine.keyspace.size + size <= self._limit:
            return
        if not self._raised:
            await self._alarm(AlarmRequest.ACTIVATE)
        raise NoSpace

    async def _alarm(self, action: AlarmRequest.AlarmAction) -> None:
        request = AlarmRequest(action=action, memberID=self._member, alarm=NOSPACE)
        await self._proposer.propose(kinds.ALARM, request.SerializeToString())
        size = self._replica.machine.keyspace.size
        log.warning("space alarm", raised=action == AlarmRequest.ACTIVATE, bytes=size, quota=self._limit)

    def start(self) -> None:
        """Begins to look whether there is room."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ceases to look."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                size = self._replica.machine.keyspace.size
                if self._raised and size < self._limit * ROOM:
                    await self._alarm(AlarmRequest.DEACTIVATE)
                elif not self._raised and size > self._limit:
                    await self._alarm(AlarmRequest.ACTIVATE)
            except StoreError as error:
                log.info("the space alarm could not be changed", reason=type(error).__name__)
