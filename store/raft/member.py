"""One member of the cluster: drives PySyncObj from the event loop, and is the Proposer of everything above.

The loop of a member is `_cycle`: take in what arrived and what is proposed, let PySyncObj tick, make the journal
durable, then let the messages out. Everything proposed while the disk is at work shares the next log entry and the
next sync.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import itertools
from collections.abc import Awaitable, Callable

import structlog
from etcd.log_pb2 import Batch, MembershipChange, SnapshotHead
from etcd.peer_pb2 import Answer, Question
from etcd.rpc_pb2 import MemberListResponse
from google.protobuf.message import DecodeError
from pysyncobj import FAIL_REASON

from store import errors
from store.errors import (
    BadTransferee,
    LeaderChanged,
    LearnerNotReady,
    NotEnoughStartedMembers,
    NotLeader,
    NotSupportedForLearner,
    RequestTimeout,
    Stopped,
    StoreError,
    TooManyRequests,
)
from store.machine import Outcome, StateMachine
from store.members import Members
from store.mvcc.version import varint
from store.raft import engine as raft
from store.raft.courier import Courier
from store.raft.disk import Disk
from store.raft.engine import Engine, Timing, member_of, node_of
from store.raft.journal import DurableJournal
from store.raft.proposer import Status
from store.replica import Replica

log = structlog.get_logger(__name__)

# A batch's proposals become one log entry of at most about this size.
BATCH_BYTES_MAX = 1024 * 1024
WAITING_MAX = 20_000
REQUEST_TIMEOUT_S = 7.0
ALONE_S = 0.5
# A leader whose own callers waited tells the others within this time that an entry is committed.
COMMIT_NEWS_S = 0.005
# When this many shared the last batch, the next one is waited for this long per proposal in it. A single client never
# waits; a crowd waits less than it would for each other's turns.
CROWD = 2
GATHER_S = 0.00015
GATHER_MAX_S = 0.001
# With others each turn costs messages to all of them.
GATHER_WITH_OTHERS_MAX_S = 0.002
# A learner may vote when it has this share of the leader's log.
LEARNER_READY = 0.9

_GAVE_UP: dict[int, type[StoreError]] = {
    FAIL_REASON.QUEUE_FULL: TooManyRequests,
    FAIL_REASON.MISSING_LEADER: RequestTimeout,
    FAIL_REASON.DISCARDED: LeaderChanged,
    FAIL_REASON.NOT_LEADER: LeaderChanged,
    FAIL_REASON.LEADER_CHANGED: LeaderChanged,
    FAIL_REASON.UNKNOWN_OUTCOME: RequestTimeout,
}

Ask = Callable[[int, Question], Awaitable[Answer]]


class _Waiting:
    """The callers that wait for one batch."""

    __slots__ = ("deadline", "futures")

    def __init__(self, futures: list[asyncio.Future[Outcome]], deadline: float) -> None:
        self.futures = futures
        self.deadline = deadline

    def fail(self, error: StoreError) -> None:
        _fail(self.futures, error)


class ConsensusMember:
    """The Proposer over PySyncObj.

    `failed` becomes done when the member cannot go on: its disk failed, or it met an entry that it cannot apply. The
    process then has to end; nothing that was not durable has been acknowledged. `removed` becomes done when the
    cluster has removed this member.
    """

    def __init__(
        self,
        *,
        member: int,
        replica: Replica,
        journal: DurableJournal,
        courier: Courier,
        make_engine: Callable[[raft.LogApplier], Engine],
        disk: Disk,
        timing: Timing,
        clock: Callable[[], float],
        first_batch: int,
        ask: Ask,
    ) -> None:
        """Makes a member that does nothing before `start`.

        Args:
            member: its number.
            replica: where committed entries go.
            journal: the engine's journal.
            courier: the engine's transport.
            make_engine: makes the engine, given what applies its entries.
            disk: waits for the journal's syncs.
            timing: the engine's.
            clock: monotonic seconds.
            first_batch: number of the first batch; no earlier start may have used it or one above it that this start
                may reach.
            ask: puts a question to another member.
        """
        self._member = member
        self._replica = replica
        self._journal = journal
        self._courier = courier
        self.engine = make_engine(self._apply)
        courier.engine = self.engine
        courier.wake = self.wake
        self._disk = disk
        self._timing = timing
        self._clock = clock
        self._batch = first_batch
        self._ask = ask
        self._proposed: list[bytes] = []
        self._proposers: list[asyncio.Future[Outcome]] = []
        self._oldest = 0.0
        self._waiting: dict[int, _Waiting] = {}
        self._readers: list[asyncio.Future[None]] = []
        self._confirming: list[tuple[int, int, list[asyncio.Future[None]]]] = []
        self._barrier: asyncio.Task[None] | None = None
        self._barrier_running: asyncio.Task[None] | None = None
        self._behind: list[tuple[int, int, asyncio.Future[None]]] = []
        self._ties = itertools.count()
        self._listeners: list[Callable[[bool], None]] = []
        self._changing = asyncio.Lock()
        self._transferring = False
        self._led = False
        self._scheduled = False
        self._gathering = False
        self._last_batch = 0
        self._awaited_elsewhere = False
        self._telling = False
        self._syncing = False
        self._when_quiet: list[Callable[[], None]] = []
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self.removed: asyncio.Future[None] = self._loop.create_future()

    # -- the port ----------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """As the port says."""
        leader = self.engine.leader
        return Status(
            self._member,
            member_of(leader) if leader is not None else 0,
            self.engine.raftCurrentTerm,
            self.engine.raftCommitIndex,
            self._replica.machine.applied,
        )

    @property
    def term(self) -> int:
        """As the port says."""
        return int(self.engine.raftCurrentTerm)

    async def propose(self, kind: int, request: bytes) -> Outcome:
        """As the port says. Raises NotSupportedForLearner at a member that does not vote."""
        if not self.engine.is_voter:
            raise NotSupportedForLearner
        return await self.propose_as_member(kind, request)

    async def propose_as_member(self, kind: int, request: bytes) -> Outcome:
        """As `propose`, for what a member says for itself, also when it does not vote."""
        # A `Proposal` inside a `Batch`, put together by hand: the request is already serialised.
        inner = bytes((kind << 3 | 2,)) + varint(len(request))
        return await self._propose(b"\x1a" + varint(len(inner) + len(request)) + inner + request)

    def _propose(self, proposal: bytes) -> asyncio.Future[Outcome]:
        if self._stopped:
            raise Stopped
        if len(self._proposers) >= WAITING_MAX:
            raise TooManyRequests
        future: asyncio.Future[Outcome] = self._loop.create_future()
        if not self._proposed:
            self._oldest = self._clock()
        self._proposed.append(proposal)
        self._proposers.append(future)
        self._wake_for_proposals()
        return future

    async def barrier(self) -> None:
        """As the port says. Raises NotSupportedForLearner at a member that does not vote."""
        if self._stopped:
            raise Stopped
        engine = self.engine
        if not engine.is_voter:
            raise NotSupportedForLearner
        # Alone, everything acknowledged was applied here before it was acknowledged.
        if engine.is_alone and engine.leads_with_certainty:
            return
        deadline = self._clock() + REQUEST_TIMEOUT_S
        while True:
            try:
                if engine.leads_with_certainty:
                    await self._confirm_leadership()
                else:
                    await self._follow_leader()
                return
            except (NotLeader, LeaderChanged):
                if self._clock() > deadline:
                    raise RequestTimeout from None
                await asyncio.sleep(self._timing.heartbeat / 2)

    async def read_index(self) -> int:
        """Where one has to be to have seen everything acknowledged anywhere before the call. Raises NotLeader."""
        if not self.engine.leads_with_certainty:
            raise NotLeader
        if not self.engine.is_alone:
            await self._confirm_leadership()
        return int(self.engine.raftCommitIndex)

    async def _confirm_leadership(self) -> None:
        """Returns when a majority has confirmed, after the call, that this member leads."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._readers.append(future)
        self.wake()
        await future

    async def _follow_leader(self) -> None:
        """Learns from the leader how far to read, and waits until that is applied here.

        All who wait while one question is under way share the next.
        """
        if self._barrier is None:
            self._barrier = asyncio.create_task(self._ask_how_far(self._barrier_running))
            # Whoever waited may have gone meanwhile; its failure is then nobody's business.
            self._barrier.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(self._barrier)

    async def _ask_how_far(self, previous: asyncio.Task[None] | None) -> None:
        if previous is not None:
            await asyncio.wait({previous})
        self._barrier_running, self._barrier = self._barrier, None
        answer = await self.ask_leader(Question(read_index=True))
        if answer.index > self._replica.machine.applied:
            future: asyncio.Future[None] = self._loop.create_future()
            heapq.heappush(self._behind, (answer.index, next(self._ties), future))
            await asyncio.wait_for(future, REQUEST_TIMEOUT_S)

    async def ask_leader(self, question: Question) -> Answer:
        """As the port says."""
        leader = self.engine.leader
        if leader is None or member_of(leader) == self._member:
            raise NotLeader
        answer = await self._ask(member_of(leader), question)
        if answer.refusal:
            refusal = getattr(errors, answer.refusal, LeaderChanged)
            raise refusal()
        return answer

    def on_leadership(self, listener: Callable[[bool], None]) -> None:
        """As the port says."""
        self._listeners.append(listener)
        if self._led:
            listener(True)

    # -- members -----------------------------------------------------------------------------------------------

    async def change_members(self, change: MembershipChange) -> Outcome:
        """As the port says; the leader makes the change, one at a time.

        Raises:
            MemberExists, PeerURLExists, TooManyLearners, MemberNotFound, MemberNotLearner: see there.
            LearnerNotReady: the learner to promote lacks too much of the log.
            NotEnoughStartedMembers: the change could leave the cluster without a majority.
        """
        deadline = self._clock() + REQUEST_TIMEOUT_S
        while True:
            try:
                if self.engine.leads_with_certainty:
                    return await self.change_members_as_leader(change)
                answer = await self.ask_leader(Question(membership=change))
                return Outcome(MemberListResponse(members=answer.members), None, answer.revision)
            except NotLeader:
                if self._clock() > deadline:
                    raise RequestTimeout from None
                await asyncio.sleep(self._timing.heartbeat)

    async def change_members_as_leader(self, change: MembershipChange) -> Outcome:
        """As `change_members`. Raises NotLeader also when this member gave up leadership to be removed itself."""
        if not self.engine.leads_with_certainty:
            raise NotLeader
        async with self._changing:
            self._check_change(change)
            if change.kind == MembershipChange.REMOVE and self._member == change.member.ID:
                await self._hand_over()
                raise NotLeader
            change.origin, change.number = self._member, self._batch
            self._batch += 1
            future: asyncio.Future[Outcome] = self._loop.create_future()
            self._waiting[change.number] = _Waiting([future], self._clock() + REQUEST_TIMEOUT_S)
            failed = functools.partial(self._gave_up, change.number)
            self.engine.submit(raft.MEMBERSHIP, change.SerializeToString(), failed)
            self.wake()
            return await future

    def _check_change(self, change: MembershipChange) -> None:
        members = self._replica.machine.members
        members.check(change)
        voters = set(members.voters())
        if change.kind == MembershipChange.PROMOTE:
            if self.engine.stored_by(change.member.ID) < LEARNER_READY * self.engine.last_index:
                raise LearnerNotReady
            return
        started = {voter for voter in voters if members.get(voter).name}
        if change.kind == MembershipChange.ADD_VOTER:
            # One member that becomes two cannot have a majority of two started ones.
            if len(voters) > 1 and len(started) < (len(voters) + 1) // 2 + 1:
                raise NotEnoughStartedMembers
        elif change.kind == MembershipChange.REMOVE and change.member.ID in voters:
            rest = voters - {change.member.ID}
            if not rest or len(started & rest) < len(rest) // 2 + 1:
                raise NotEnoughStartedMembers

    async def transfer_leadership(self, target: int) -> None:
        """As the port says."""
        if self.engine.state != raft.LEADER:
            raise NotLeader
        if target == self._member:
            return
        if target not in self.engine.configuration.voters():
            raise BadTransferee
        deadline = self._clock() + REQUEST_TIMEOUT_S
        # New proposals wait for the next leader: the target has to have the whole log.
        self._transferring = True
        asked = 0.0
        try:
            while (leader := self.engine.leader) is None or member_of(leader) != target:
                now = self._clock()
                if now > deadline:
                    raise RequestTimeout
                if self.engine.state == raft.LEADER and now >= asked and not self._syncing:
                    self.engine.transferLeadership(node_of(target))
                    asked = now + self._timing.election
                self.wake()
                await asyncio.sleep(self._timing.heartbeat / 5)
        finally:
            self._transferring = False

    async def _hand_over(self) -> None:
        """Makes the voter with the longest log the leader. Raises BadTransferee when there is none."""
        others = [voter for voter in self.engine.configuration.voters() if voter != self._member]
        if not others:
            raise BadTransferee
        await self.transfer_leadership(max(others, key=self.engine.stored_by))

    def tell_removed(self) -> None:
        """The cluster says that this member is removed."""
        if not self.removed.done():
            self.removed.set_result(None)

    # -- running -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to take part. A member that is alone elects itself at once."""
        if self.engine.is_alone:
            self.engine.stand_for_election()
        self._cycle()
        self._on_timer()

    async def leave(self) -> None:
        """Before a graceful stop: hands leadership over if there is somebody to take it."""
        if self.engine.state == raft.LEADER and not self.engine.is_alone:
            try:
                await asyncio.wait_for(self._hand_over(), self._timing.election * 2)
            except (StoreError, TimeoutError) as error:
                log.info("leadership was not handed over", reason=type(error).__name__)

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

    def _wake_for_proposals(self) -> None:
        """Runs a cycle soon; a moment later when many propose, so that they share it."""
        if self._scheduled or self._gathering:
            return
        if self._last_batch < CROWD:
            self.wake()
            return
        self._gathering = True
        longest = GATHER_MAX_S if self.engine.is_alone else GATHER_WITH_OTHERS_MAX_S
        self._loop.call_later(min(longest, self._last_batch * GATHER_S), self._gathered)

    def _gathered(self) -> None:
        self._gathering = False
        self.wake()

    def _on_timer(self) -> None:
        if self._stopped:
            return
        # A member that is alone has nobody to beat for.
        pause = ALONE_S if self.engine.is_alone and self._led else self._timing.heartbeat / 2
        self._timer = self._loop.call_later(pause, self._on_timer)
        now = self._clock()
        for number, waiting in list(self._waiting.items()):
            if waiting.deadline > now:
                break
            del self._waiting[number]
            waiting.fail(RequestTimeout())
        if self._proposed and now - self._oldest > REQUEST_TIMEOUT_S:
            proposers, self._proposers, self._proposed = self._proposers, [], []
            _fail(proposers, RequestTimeout())
        self.wake()

    def _cycle(self) -> None:
        """One turn: messages in, proposals in, tick, disk, messages out.

        While the disk is at work nothing is taken in and nothing is counted: what waits shares the next turn.
        """
        self._scheduled = False
        if self._syncing or self._stopped or self.failed.done():
            return
        try:
            self._courier.receive_all()
            if self._proposed and self.engine.leader is not None and not self._transferring:
                self._submit()
            if not self._journal.dirty:
                self._tick()
                self._courier.flush_entries()
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
        self._courier.before_tick()
        engine.tick()
        self._tell_leadership()
        if engine.state != raft.LEADER:
            self._fail_reads()
            return
        # One round at a time: who comes while it is under way shares the next.
        if self._readers and not self._confirming and engine.leads_with_certainty:
            number = self._courier.next_round()
            self._confirming.append((number, engine.raftCurrentTerm, self._readers))
            self._readers = []
            engine.send_entries()
        elif engine.last_index != last or self._awaited_elsewhere:
            engine.send_entries()
        elif engine.raftCommitIndex != committed and not engine.is_alone:
            # Nobody waits for the news that this is committed; the next entries bring it, or a timer soon.
            self._tell_commit_soon()
        self._awaited_elsewhere = False
        self._answer_reads()
        if self._readers and not self._confirming:
            self.wake()

    def _tell_commit_soon(self) -> None:
        if self._telling:
            return
        self._telling = True

        def tell() -> None:
            self._telling = False
            self._awaited_elsewhere = True
            self.wake()

        self._loop.call_later(COMMIT_NEWS_S, tell)

    def _answer_reads(self) -> None:
        while self._confirming:
            number, term, futures = self._confirming[0]
            if term != self.engine.raftCurrentTerm:
                _fail(futures, LeaderChanged())
            elif self._courier.confirmed(number):
                for future in futures:
                    if not future.done():
                        future.set_result(None)
            else:
                return
            self._confirming.pop(0)

    def _fail_reads(self) -> None:
        if self._readers or self._confirming:
            for _, _, futures in self._confirming:
                _fail(futures, LeaderChanged())
            _fail(self._readers, LeaderChanged())
            self._confirming, self._readers = [], []

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
        self._courier.flush()
        while self._when_quiet:
            self._when_quiet.pop()()

    def when_quiet(self, action: Callable[[], None]) -> None:
        """Runs `action` when the journal is not being written, soon."""
        self._when_quiet.append(action)
        self.wake()

    def install(self, head: SnapshotHead, machine: StateMachine) -> bool:
        """Goes on from the leader's snapshot, which is durable here; False when it is not newer than what is here.

        Only while the journal is not being written (see `when_quiet`).
        """
        if head.index <= self.engine.raftCommitIndex:
            return False
        self._replica.replace(machine)
        self.engine.install(head)
        self._tell_applied()
        self.wake()
        return True

    def _submit(self) -> None:
        """Turns what was proposed since the last cycle into log entries."""
        proposed, proposers = self._proposed, self._proposers
        self._proposed, self._proposers = [], []
        self._last_batch = len(proposed)
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
        try:
            if kind == raft.REGULAR:
                batch = Batch.FromString(body)
                outcomes = self._replica.apply(index, term, batch.proposals)
                self._awaited_elsewhere |= batch.origin != self._member
                self._resolve(batch.origin, batch.number, outcomes)
            elif kind == raft.MEMBERSHIP:
                change = MembershipChange.FromString(body)
                outcome = self._replica.apply_membership(index, change)
                self._resolve(change.origin, change.number, [outcome])
                self._after_membership(self._replica.machine.members)
            else:
                self._replica.skip(index)
        except DecodeError as error:
            raise RuntimeError(f"log entry {index} cannot be decoded") from error
        self._tell_applied()

    def _resolve(self, origin: int, number: int, outcomes: list[Outcome]) -> None:
        waiting = self._waiting.pop(number, None) if origin == self._member else None
        if waiting is None:
            return
        for future, outcome in zip(waiting.futures, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)

    def _after_membership(self, members: Members) -> None:
        if self._member in members.removed:
            self.tell_removed()

    def _tell_applied(self) -> None:
        applied = self._replica.machine.applied
        while self._behind and self._behind[0][0] <= applied:
            _, _, future = heapq.heappop(self._behind)
            if not future.done():
                future.set_result(None)

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
        if not self.failed.done():
            self.failed.set_exception(error)

    def _fail_all(self, error: StoreError) -> None:
        for waiting in self._waiting.values():
            waiting.fail(error)
        self._waiting.clear()
        _fail(self._proposers, error)
        self._proposed, self._proposers = [], []
        _fail([future for _, _, future in self._behind], error)
        for _, _, futures in self._confirming:
            _fail(futures, error)
        _fail(self._readers, error)
        self._behind, self._confirming, self._readers = [], [], []


def _fail(futures: list[asyncio.Future[Outcome]] | list[asyncio.Future[None]], error: StoreError) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
            # Whoever waited may be gone; then the refusal is nobody's business.
            future.exception()
