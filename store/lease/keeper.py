"""Keeps the leader's deadlines of leases in step with the log, and proposes the end of those whose time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from etcd.log_pb2 import LeaseExpiry, Proposal
from etcd.rpc_pb2 import LeaseCheckpointRequest

from store.errors import LeaseNotFound, NotLeader, StoreError
from store.lease.deadlines import Deadlines
from store.machine import Outcome
from store.raft import proposer as kinds
from store.raft.proposer import Proposer
from store.replica import Replica

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.25
EXPIRE_AT_ONCE = 500
# Leases longer than this have the time they have left written to the log now and then.
CHECKPOINT_TTL_S = 300
CHECKPOINT_EVERY_S = 60.0


class LeaseKeeper:
    """The clock side of leases. It counts only while this member leads."""

    def __init__(self, replica: Replica, proposer: Proposer, clock: Callable[[], float]) -> None:
        """Listens to `replica` and `proposer`; `clock` gives monotonic seconds."""
        self._replica = replica
        self._proposer = proposer
        self._clock = clock
        self._deadlines = Deadlines()
        self._leads = False
        self._checkpoint_at = 0.0
        self._task: asyncio.Task[None] | None = None
        replica.on_applied(self._applied)
        proposer.on_leadership(self._leadership)

    def _leadership(self, leads: bool) -> None:
        self._leads = leads
        if leads:
            self._deadlines.start(self._replica.machine.leases.all(), self._clock())
            self._checkpoint_at = self._clock() + CHECKPOINT_EVERY_S
        else:
            self._deadlines.stop()

    def _applied(self, proposal: Proposal, outcome: Outcome) -> None:
        if not self._leads or outcome.error is not None:
            return
        kind = proposal.WhichOneof("request")
        if kind == "lease_grant":
            self._deadlines.set(outcome.response.ID, self._clock() + outcome.response.TTL)
        elif kind == "lease_revoke":
            self._deadlines.forget(proposal.lease_revoke.ID)
        elif kind == "lease_expiry":
            for identifier in proposal.lease_expiry.IDs:
                self._deadlines.forget(identifier)

    async def keep_alive(self, identifier: int) -> int:
        """Gives the lease its whole time again and returns that, in seconds.

        Raises:
            LeaseNotFound: it is gone, or its end is already proposed.
            NotLeader: only the leader can tell.
        """
        if not self._leads:
            raise NotLeader
        lease = self._replica.machine.leases.get(identifier)
        remaining = self._deadlines.remaining(identifier, self._clock())
        if remaining is None or remaining <= 0:
            raise LeaseNotFound
        if lease.remaining:
            # A new leader must not fall back to what was left before.
            checkpoint = LeaseCheckpointRequest()
            checkpoint.checkpoints.add(ID=identifier, remaining_TTL=0)
            await self._proposer.propose(kinds.LEASE_CHECKPOINT, checkpoint.SerializeToString())
        self._deadlines.set(identifier, self._clock() + lease.ttl)
        return lease.ttl

    def remaining(self, identifier: int) -> int:
        """Whole seconds the lease has left. Raises as `keep_alive`."""
        if not self._leads:
            raise NotLeader
        self._replica.machine.leases.get(identifier)
        remaining = self._deadlines.remaining(identifier, self._clock())
        if remaining is None or remaining <= 0:
            raise LeaseNotFound
        return int(remaining)

    def start(self) -> None:
        """Begins to look for leases whose time is up."""
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
                await self._expire()
                await self._checkpoint()
            except StoreError as error:
                # Whoever leads next looks again; so do we, if it is us.
                log.info("leases were not looked after", reason=type(error).__name__)

    async def _expire(self) -> None:
        while self._leads and (due := self._deadlines.due(self._clock(), EXPIRE_AT_ONCE)):
            expiry = LeaseExpiry(IDs=due, term=self._proposer.status().term)
            await self._proposer.propose(kinds.LEASE_EXPIRY, expiry.SerializeToString())

    async def _checkpoint(self) -> None:
        now = self._clock()
        if not self._leads or now < self._checkpoint_at:
            return
        self._checkpoint_at = now + CHECKPOINT_EVERY_S
        request = LeaseCheckpointRequest()
        for lease in self._replica.machine.leases.all():
            remaining = self._deadlines.remaining(lease.identifier, now)
            if lease.ttl > CHECKPOINT_TTL_S and remaining is not None and remaining >= 1:
                request.checkpoints.add(ID=lease.identifier, remaining_TTL=int(remaining))
        if request.checkpoints:
            await self._proposer.propose(kinds.LEASE_CHECKPOINT, request.SerializeToString())
