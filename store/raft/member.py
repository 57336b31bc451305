"""One member of the cluster: drives PySyncObj from the event loop, and is the Proposer of everything above.

The loop of a member is `_cycle`: take in what arrived and what is proposed, let PySyncObj tick, make the journal
durable, then let the messages out. Everything proposed in one turn of the event loop shares one log entry and one
sync of the disk.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable

import structlog
from etcd.log_pb2 import Batch, MembershipChange
from google.protobuf.message import DecodeError
from pysyncobj import FAIL_REASON

from store.errors import (
    BadTransferee,
    LeaderChanged,
    NotLeader,
    RequestTimeout,
    Stopped,
    StoreError,
    TooManyRequests,
)
from store.machine import Outcome
from store.mvcc.version import varint
from store.raft import engine as raft
from store.raft.disk import Disk
from store.raft.engine import Engine, Timing
from store.raft.journal import DurableJournal
from store.raft.proposer import Status
from store.raft.transport import Outbox
from store.replica import Replica

log = structlog.get_logger(__name__)

# A batch's proposals become one log entry of at most about this size.
BATCH_BYTES_MAX = 1024 * 1024
WAITING_MAX = 20_000
REQUEST_TIMEOUT_S = 7.0

_GAVE_UP: dict[int, type[StoreError]] = {
    FAIL_REASON.QUEUE_FULL: TooManyRequests,
    FAIL_REASON.MISSING_LEADER: RequestTimeout,
    FAIL_REASON.DISCARDED: LeaderChanged,
    FAIL_REASON.NOT_LEADER: LeaderChanged,
    FAIL_REASON.LEADER_CHANGED: LeaderChanged,
    FAIL_REASON.UNKNOWN_OUTCOME: RequestTimeout,
}


class _Waiting:
    """The callers that wait for one batch."""

    __slots__ = ("deadline", "futures")

    def __init__(self, futures: list[asyncio.Future[Outcome]], deadline: float) -> None:
        self.futures = futures
        self.deadline = deadline

    def fail(self, error: StoreError) -> None:
        for future in self.futures:
            if not future.done():
                future.set_exception(error)


class ConsensusMember:
    """The Proposer over PySyncObj.

    `failed` becomes done when the member cannot go on: its disk failed, or it met an entry that it cannot apply. The
    process then has to end; nothing that was not durable has been acknowledged.
    """

    def __init__(
        self,
        *,
        member: int,
        replica: Replica,
        journal: DurableJournal,
        outbox: Outbox,
        make_engine: Callable[[raft.LogApplier], Engine],
        disk: Disk,
        timing: Timing,
        clock: Callable[[], float],
        first_batch: int,
    ) -> None:
        """Makes a member that does nothing before `start`.

        Args:
            member: its number.
            replica: where committed entries go.
            journal: the engine's journal.
            outbox: the engine's transport.
            make_engine: makes the engine, given what applies its entries.
            disk: waits for the journal's syncs.
            timing: the engine's.
            clock: monotonic seconds.
            first_batch: number of the first batch; no earlier start may have used it or one above it that this start
                may reach.
        """
        self._member = member
        self._replica = replica
        self._journal = journal
        self._outbox = outbox
        self.engine = make_engine(self._apply)
        self._disk = disk
        self._timing = timing
        self._clock = clock
        self._batch = first_batch
        self._proposed: list[bytes] = []
        self._proposers: list[asyncio.Future[Outcome]] = []
        self._waiting: dict[int, _Waiting] = {}
        self._listeners: list[Callable[[bool], None]] = []
        self._led = False
        self._scheduled = False
        self._syncing = False
        self._when_quiet: list[Callable[[], None]] = []
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = self._loop.create_future()

    # -- the port ----------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """As the port says."""
        leader = self.engine.leader
        return Status(
            self._member,
            int(leader.id, 16) if leader is not None else 0,
            self.engine.raftCurrentTerm,
            self.engine.raftCommitIndex,
            self._replica.machine.applied,
        )

    @property
    def term(self) -> int:
        """As the port says."""
        return int(self.engine.raftCurrentTerm)

    async def propose(self, kind: int, request: bytes) -> Outcome:
        """As the port says."""
        if self._stopped:
            raise Stopped
        if len(self._proposers) >= WAITING_MAX:
            raise TooManyRequests
        future: asyncio.Future[Outcome] = self._loop.create_future()
        # A `Proposal` inside a `Batch`, put together by hand: the request is already serialised.
        inner = bytes((kind << 3 | 2,)) + varint(len(request))
        self._proposed.append(b"\x1a" + varint(len(inner) + len(request)) + inner + request)
        self._proposers.append(future)
        self.wake()
        return await future

    async def barrier(self) -> None:
        """As the port says."""
        if self._stopped:
            raise Stopped
        # Alone, everything acknowledged was applied here before it was acknowledged.
        if self.engine.is_alone and self.engine.leads_with_certainty:
            return
        await self.propose_nothing()

    async def propose_nothing(self) -> None:
        """Has an empty proposal agreed on: when it is applied here, so is everything before it."""
        future: asyncio.Future[Outcome] = self._loop.create_future()
        # A proposal without a request: it changes nothing, and its outcome says so.
        self._proposed.append(b"\x1a\x00")
        self._proposers.append(future)
        self.wake()
        await future

    async def change_members(self, change: MembershipChange) -> Outcome:
        """As the port says."""
        raise NotLeader

    async def transfer_leadership(self, target: int) -> None:
        """As the port says."""
        if not self.status().is_leader:
            raise NotLeader
        if target != self._member:
            raise BadTransferee

    def on_leadership(self, listener: Callable[[bool], None]) -> None:
        """As the port says."""
        self._listeners.append(listener)
        if self._led:
            listener(True)

    # -- running -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to take part. A member that is alone elects itself at once."""
        if self.engine.is_alone:
            self.engine.stand_for_election()
        self._cycle()
        self._on_timer()

    def stop(self) -> None:
        """Ceases to take part; callers that wait get Stopped."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        self._fail_all(Stopped())
        self._disk.close()
        self.engine.destroy()

    def wake(self) -> None:
        """Runs a cycle when the event loop has done what it is doing now."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._cycle)

    def _on_timer(self) -> None:
        if self._stopped:
            return
        self._timer = self._loop.call_later(self._timing.heartbeat / 2, self._on_timer)
        now = self._clock()
        for number, waiting in list(self._waiting.items()):
            if waiting.deadline > now:
                break
            del self._waiting[number]
            waiting.fail(RequestTimeout())
        self.wake()

    def _cycle(self) -> None:
        """One turn: messages in, proposals in, tick, disk, messages out.

        While the disk is at work nothing is taken in and nothing is counted: what waits shares the next turn.
        """
        self._scheduled = False
        if self._syncing or self._stopped or self.failed.done():
            return
        engine = self.engine
        try:
            for node, message in self._outbox.take():
                engine.receive(node, message)
            if self._proposed:
                self._submit()
            if not self._journal.dirty:
                self._tick()
                self._outbox.flush_entries()
            # Otherwise what just arrived has to be durable before a tick counts it.
            if self._journal.dirty:
                self._syncing = True
                self._disk.run(self._journal.sync, self._synced)
            else:
                self._quiet()
        except Exception as error:
            self._give_up(error)

    def _tick(self) -> None:
        engine = self.engine
        last, committed = engine.last_index, engine.raftCommitIndex
        engine.tick()
        if engine.state == raft.LEADER and (engine.last_index != last or engine.raftCommitIndex != committed):
            engine.send_entries()
        self._tell_leadership()

    def _synced(self, error: Exception | None) -> None:
        self._syncing = False
        if error is not None:
            self._give_up(error)
            return
        if self._stopped:
            return
        try:
            self._quiet()
        except Exception as raised:
            self._give_up(raised)
            return
        self._cycle()

    def _quiet(self) -> None:
        """Everything is durable: messages may leave, and whoever waited for this moment has it."""
        self._outbox.flush()
        while self._when_quiet:
            self._when_quiet.pop()()

    def when_quiet(self, action: Callable[[], None]) -> None:
        """Runs `action` when the journal is not being written, at once if that is now."""
        self._when_quiet.append(action)
        if not self._syncing:
            self._quiet()

    def _submit(self) -> None:
        """Turns what was proposed since the last cycle into log entries."""
        proposed, proposers = self._proposed, self._proposers
        self._proposed, self._proposers = [], []
        deadline = self._clock() + REQUEST_TIMEOUT_S
        begin, size = 0, 0
        for place, proposal in enumerate(proposed):
            size += len(proposal)
            if size >= BATCH_BYTES_MAX or place == len(proposed) - 1:
                number = self._batch
                self._batch += 1
                head = b"\x08" + varint(self._member) + b"\x10" + varint(number)
                body = b"".join([head, *proposed[begin : place + 1]])
                self._waiting[number] = _Waiting(proposers[begin : place + 1], deadline)
                self.engine.submit(raft.REGULAR, body, functools.partial(self._gave_up, number))
                begin, size = place + 1, 0

    def _gave_up(self, number: int, _result: None, reason: int) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            waiting.fail(_GAVE_UP.get(reason, LeaderChanged)())

    def _apply(self, index: int, term: int, kind: int, body: bytes) -> None:
        if kind != raft.REGULAR:
            self._replica.skip(index)
            return
        try:
            batch = Batch.FromString(body)
        except DecodeError as error:
            raise RuntimeError(f"log entry {index} cannot be decoded") from error
        outcomes = self._replica.apply(index, term, batch.proposals)
        if batch.origin != self._member:
            return
        waiting = self._waiting.pop(batch.number, None)
        if waiting is None:
            return
        for future, outcome in zip(waiting.futures, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)

    def _tell_leadership(self) -> None:
        leads = self.engine.leads_with_certainty
        if leads != self._led:
            self._led = leads
            log.info("leadership", leads=leads, term=self.engine.raftCurrentTerm)
            for listener in self._listeners:
                listener(leads)

    def _give_up(self, error: Exception) -> None:
        log.error("the member cannot go on", error=str(error), exc_info=not isinstance(error, OSError))
        self._fail_all(Stopped())
        self.failed.set_exception(error)

    def _fail_all(self, error: StoreError) -> None:
        for waiting in self._waiting.values():
            waiting.fail(error)
        self._waiting.clear()
        for future in self._proposers:
            if not future.done():
                future.set_exception(error)
        self._proposed, self._proposers = [], []
