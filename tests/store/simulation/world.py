"""A cluster in one process: virtual time, a network that loses and reorders, disks that lose what was not synced.

Everything is decided by one seed. The members are the real ones; only clock, disk and network are played.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from etcd.log_pb2 import Frame, HardState, Identity, MembershipChange
from etcd.peer_pb2 import Answer, Envelope, Question
from etcd.rpc_pb2 import Member, PutRequest

from store.directory import assemble
from store.errors import NotLeader, RequestTimeout, StoreError
from store.machine import StateMachine
from store.members import Members
from store.raft import engine as raft
from store.raft import proposer as kinds
from store.raft import snapshot
from store.raft.courier import Courier
from store.raft.engine import Engine, LogApplier, Timing
from store.raft.journal import STAND_IN, DurableJournal
from store.raft.member import ConsensusMember
from store.raft.wal import Recovered, replay
from store.replica import Replica
from tests.store.linearizability import FOREVER, Operation

CLUSTER = 77
TIMING = Timing(heartbeat=0.1, election=0.5)


class Broken(AssertionError):
    """An invariant does not hold."""


class SimWal:
    """What a log has on its disk."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def forget(self, count: int) -> None:
        """Loses the newest frames, as a disk does that says that it has what it has not."""
        del self.frames[max(1, len(self.frames) - count) :]

    def append(self, frame: Frame) -> None:
        self.frames.append(frame.SerializeToString())

    def recover(self) -> Recovered:
        recovered = Recovered(Identity(), HardState())
        for data in self.frames:
            replay(Frame.FromString(data), recovered)
        return recovered

    def close(self) -> None:
        """Nothing is open."""

    def remove_before(self, index: int) -> None:
        """Old frames are not missed."""


class SimDisk:
    """Takes its time; a crash meanwhile loses the work."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._timer: asyncio.TimerHandle | None = None

    def run(self, work: Callable[[], object], done: Callable[[Exception | None], None]) -> None:
        def finish() -> None:
            work()
            done(None)

        delay = self._world.random.random() * 0.004
        self._timer = self._world.loop.call_later(delay, finish)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class SimMember:
    """One member: what is on its disk, and while it is up, the member itself."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.wal = SimWal()
        self.snapshot: bytes | None = None
        self.member: ConsensusMember | None = None
        self.replica: Replica
        self.courier: Courier
        self._starts = 0
        self._gone = False

    @property
    def up(self) -> bool:
        return self.member is not None

    @property
    def is_gone(self) -> bool:
        """Whether it was removed for good, and knew it."""
        return self._gone

    def start(self) -> None:
        world = self.world
        self._starts += 1
        recovered = self.wal.recover()
        head, machine = None, StateMachine(Members(world.genesis))
        if self.snapshot is not None:
            head, machine = snapshot.parse(self.snapshot, Path("snapshot"))
        entries, complete = assemble(recovered.entries, head, Path("simulated"))
        journal = CheckedJournal(world, self.wal, entries if complete else [], recovered.state)
        if not complete:
            journal.clear()
            for entry in entries:
                journal.add(*entry)
            journal.sync()
        self.replica = Replica(machine)
        self.courier = Courier(
            cluster=CLUSTER,
            member=self.number,
            link=self,
            clock=world.loop.time,
            patience=TIMING.election,
            wake=lambda: None,
        )

        def make_engine(apply: LogApplier) -> Engine:
            def checked(index: int, term: int, kind: int, body: bytes) -> None:
                world.check_applied(index, term, bytes([kind]) + body)
                apply(index, term, kind, body)
                world.check_state(index, self.replica.machine.keyspace.revision)

            return Engine(
                self.number,
                members=lambda: self.replica.machine.members,
                journal=journal,
                applied=max(1, machine.applied),
                transport=self.courier,
                timing=TIMING,
                random=world.random.random,
                apply=checked,
            )

        self.member = ConsensusMember(
            member=self.number,
            replica=self.replica,
            journal=journal,
            courier=self.courier,
            make_engine=make_engine,
            disk=SimDisk(world),
            timing=TIMING,
            clock=world.loop.time,
            first_batch=(self._starts << 20),
            ask=self._ask,
        )
        self.member.engine.needs_snapshot = self._send_snapshot
        self.member.start()
        for other in world.members.values():
            if other.up and other is not self:
                world.connect(self, other)

    def crash(self) -> None:
        assert self.member is not None
        for other in self.world.members.values():
            if other.member is not None:
                other.member.engine.disconnected(self.number)
        self._gone = self.member.removed.done()
        self.member.stop()
        self.member = None
        if self.world.disks_lie:
            self.wal.forget(self.world.random.randrange(8))

    # -- link ----------------------------------------------------------------------------------------------

    def transmit(self, member: int, envelopes: list[Envelope]) -> None:
        for envelope in envelopes:
            self.world.carry(self.number, member, envelope)

    async def _ask(self, member: int, question: Question) -> Answer:
        world = self.world
        other = world.members[member]
        await asyncio.sleep(world.random.random() * 0.01)
        if other.member is None or world.is_cut(self.number, member):
            await asyncio.sleep(1)
            raise RequestTimeout
        answer = Answer()
        try:
            if question.HasField("membership"):
                outcome = await other.member.change_members_as_leader(question.membership)
                if outcome.error is not None:
                    raise outcome.error
                answer.members.extend(outcome.response.members)
            else:
                answer.index = await other.member.read_index()
        except StoreError as error:
            answer.refusal = type(error).__name__
        await asyncio.sleep(world.random.random() * 0.01)
        if world.is_cut(self.number, member):
            raise RequestTimeout
        return answer

    # -- snapshots -------------------------------------------------------------------------------------------

    def take_snapshot(self) -> None:
        if self.member is None:
            return
        engine, machine = self.member.engine, self.replica.machine
        index = machine.applied
        if index < 3:
            return

        def take() -> None:
            if self.member is None or machine is not self.replica.machine or machine.applied != index:
                return
            head = snapshot.head_of(machine, CLUSTER, engine.term_at(index), engine.term_at(index - 1))
            self.snapshot = b"".join(snapshot.frames(machine.keyspace, head))
            engine.forget_before(index - 1)

        self.member.when_quiet(take)

    def _send_snapshot(self, target: int) -> None:
        world = self.world
        data, term = self.snapshot, self.member.term if self.member else 0
        if data is None or (self.number, target) in world.transfers:
            return
        world.transfers.add((self.number, target))

        def arrive() -> None:
            world.transfers.discard((self.number, target))
            receiver = world.members[target]
            if receiver.member is None or world.is_cut(self.number, target):
                return
            head, machine = snapshot.parse(data, Path("snapshot"))
            member = receiver.member

            def install() -> None:
                if receiver.member is not member or term < member.term:
                    return
                if head.index > member.engine.raftCommitIndex:
                    receiver.snapshot = data
                    member.install(head, machine)
                index = member.engine.raftCommitIndex
                if self.member is not None and self.member.term == term and self.member.engine.state == raft.LEADER:
                    self.member.engine.snapshot_installed(target, index)

            member.when_quiet(install)

        world.loop.call_later(0.05 + world.random.random() * 0.2, arrive)


class CheckedJournal(DurableJournal):
    """Tells the world of every entry, so that it can compare them."""

    def __init__(self, world: World, wal: Any, entries: list[Any], state: HardState) -> None:
        super().__init__(wal, entries, state)
        self._world = world

    def add(self, command: bytes, idx: int, term: int) -> None:
        super().add(command, idx, term)
        if command != STAND_IN:
            self._world.check_entry(command, idx, term)


class World:
    """The cluster, the network, the clients, and what must hold."""

    def __init__(self, seed: int, loop: Any, size: int = 3, *, changing: bool = False) -> None:
        self.seed = seed
        self.changing = changing
        self.changes_made = 0
        self.disks_lie = False
        self.random = random.Random(seed)
        self.loop = loop
        numbers = range(1, size + 1)
        self.genesis = [Member(ID=number, name=f"m{number}", peerURLs=[f"http://m{number}:1"]) for number in numbers]
        self.members = {number: SimMember(self, number) for number in numbers}
        self.cuts: set[tuple[int, int]] = set()
        self.loss = 0.0
        self.duplicates = 0.0
        self.transfers: set[tuple[int, int]] = set()
        self.leaders: dict[int, int] = {}
        self.newest_term = 0
        self.applied: dict[int, bytes] = {}
        self.revisions: dict[int, int] = {}
        self.entries: dict[tuple[int, int], bytes] = {}
        self.history: list[Operation] = []
        self.broken: Broken | None = None
        self._last_arrival: dict[tuple[int, int], float] = {}

    # -- invariants ----------------------------------------------------------------------------------------

    def _break(self, message: str) -> None:
        self.broken = self.broken or Broken(f"seed {self.seed}: {message}")
        raise self.broken

    def check_applied(self, index: int, term: int, command: bytes) -> None:
        """State machine safety: no two members apply different entries at one index."""
        # A leader that crashes at once may have been seen by nobody but those who applied what it committed.
        self.newest_term = max(self.newest_term, term)
        entry = term.to_bytes(8, "big") + command
        if self.applied.setdefault(index, entry) != entry:
            self._break(f"two entries were committed at index {index}")

    def check_state(self, index: int, revision: int) -> None:
        """State machine equality."""
        if self.revisions.setdefault(index, revision) != revision:
            self._break(f"members differ in revision at index {index}")

    def check_entry(self, command: bytes, index: int, term: int) -> None:
        """Log matching: an index and a term name one entry."""
        if self.entries.setdefault((index, term), command) != command:
            self._break(f"two entries have index {index} and term {term}")

    def check_members(self) -> None:
        """Election safety and leader completeness."""
        leading = []
        for number, sim in self.members.items():
            if sim.member is None:
                continue
            if sim.member.failed.done() and self.broken is None:
                self._break(f"member {number} gave up: {sim.member.failed.exception()!r}")
            engine = sim.member.engine
            if engine.state == raft.LEADER:
                leading.append((number, engine))
                if self.leaders.setdefault(engine.raftCurrentTerm, number) != number:
                    self._break(f"two leaders in term {engine.raftCurrentTerm}")
        for number, engine in leading:
            newest = engine.raftCurrentTerm >= max(self.newest_term, *self.leaders)
            if newest and self.applied and engine.last_index < max(self.applied):
                self._break(f"leader {number} lacks committed entries")
        if self.broken is not None:
            raise self.broken

    # -- network -------------------------------------------------------------------------------------------

    def is_cut(self, sender: int, receiver: int) -> bool:
        return (sender, receiver) in self.cuts

    def connect(self, one: SimMember, other: SimMember) -> None:
        assert one.member is not None and other.member is not None
        one.member.engine.connected(other.number)
        other.member.engine.connected(one.number)

    def carry(self, sender: int, receiver: int, envelope: Envelope) -> None:
        # Commands travel on a stream that loses everything behind a loss, and never doubles.
        is_command = envelope.WhichOneof("message") in ("command", "command_reply")
        copies = 1 if is_command or self.random.random() >= self.duplicates else 2
        data = envelope.SerializeToString()
        for _ in range(copies):
            if self.random.random() < self.loss:
                continue
            delay = 0.0005 + self.random.random() * 0.004
            if self.random.random() < 0.02:
                delay += self.random.random() * 0.3
            self.loop.call_later(delay, self._arrive, sender, receiver, data)

    def _arrive(self, sender: int, receiver: int, data: bytes) -> None:
        member = self.members[receiver].member
        if member is not None and not self.is_cut(sender, receiver) and self.broken is None:
            self.members[receiver].courier.deliver(Envelope.FromString(data))

    # -- clients -------------------------------------------------------------------------------------------

    async def client(self, name: int, keys: int, until: float) -> None:
        number = 0
        while self.loop.time() < until:
            await asyncio.sleep(self.random.random() * 0.05)
            sim = self.members[self.random.choice(sorted(self.members))]
            if sim.member is None:
                continue
            key = f"k{self.random.randrange(keys)}"
            begun = self.loop.time()
            number += 1
            if self.random.random() < 0.5:
                await self._write(sim, key, f"{name}-{number}", begun)
            else:
                await self._read(sim, key, begun)

    async def _write(self, sim: SimMember, key: str, value: str, begun: float) -> None:
        assert sim.member is not None
        request = PutRequest(key=key.encode(), value=value.encode()).SerializeToString()
        ended = FOREVER
        try:
            async with asyncio.timeout(2):
                await sim.member.propose(kinds.PUT, request)
            ended = self.loop.time()
        except (StoreError, TimeoutError):
            pass
        self.history.append(Operation(key, True, value, begun, ended))

    async def _read(self, sim: SimMember, key: str, begun: float) -> None:
        assert sim.member is not None
        replica = sim.replica
        try:
            async with asyncio.timeout(2):
                await sim.member.barrier()
        except (StoreError, TimeoutError):
            return
        version = replica.machine.keyspace.get(key.encode())
        value = version.value.decode() if version else None
        self.history.append(Operation(key, False, value, begun, self.loop.time()))

    # -- trouble -------------------------------------------------------------------------------------------

    async def trouble(self, until: float) -> None:
        """Crashes, cuts, losses, snapshots and transfers, as the seed has it."""
        while self.loop.time() < until:
            await asyncio.sleep(self.random.random() * 0.6)
            kind = self.random.random()
            if self.changing and self.random.random() < 0.3:
                await self._change_members()
                continue
            some = self.members[self.random.choice(sorted(self.members))]
            if kind < 0.25 and some.up:
                some.crash()
            elif kind < 0.5 and not some.up and not some.is_gone:
                some.start()
            elif kind < 0.65:
                self._cut(some.number)
            elif kind < 0.8:
                self.heal()
            elif kind < 0.9:
                some.take_snapshot()
            elif kind < 0.95:
                self.loss = self.random.choice([0.0, 0.05, 0.3])
                self.duplicates = self.random.choice([0.0, 0.2])
            elif some.member is not None:
                await self._transfer(some.member)

    async def _change_members(self) -> None:
        """Adds, promotes or removes a member, at whichever member is asked."""
        asked = self.members[self.random.choice(sorted(self.members))]
        if asked.member is None:
            return
        known = asked.replica.machine.members.all()
        learners = [member.ID for member in known if member.isLearner]
        kind = self.random.random()
        change = MembershipChange()
        if kind < 0.4 and len(self.members) < 6:
            number = max(self.members) + 1
            change.member.CopyFrom(Member(ID=number, name=f"m{number}", peerURLs=[f"http://m{number}:1"]))
            change.kind = self.random.choice([MembershipChange.ADD_LEARNER, MembershipChange.ADD_VOTER])
        elif kind < 0.7 and learners:
            change.kind, change.member.ID = MembershipChange.PROMOTE, self.random.choice(learners)
        else:
            change.kind = MembershipChange.REMOVE
            change.member.ID = self.random.choice([member.ID for member in known])
        adds = change.kind in (MembershipChange.ADD_LEARNER, MembershipChange.ADD_VOTER)
        if adds:
            # It is started whether or not the change succeeds: one that was not added does no harm.
            joining = SimMember(self, change.member.ID)
            self.members[change.member.ID] = joining
            joining.start()
        try:
            async with asyncio.timeout(2):
                await asked.member.change_members(change)
            self.changes_made += 1
        except (StoreError, TimeoutError):
            return

    async def _transfer(self, member: ConsensusMember) -> None:
        try:
            async with asyncio.timeout(1):
                await member.transfer_leadership(self.random.choice(sorted(self.members)))
        except (StoreError, NotLeader, TimeoutError):
            return

    def _cut(self, number: int) -> None:
        others = [other for other in self.members if other != number]
        way = self.random.randrange(3)
        for other in others:
            if way in (0, 1):
                self.cuts.add((number, other))
            if way in (0, 2):
                self.cuts.add((other, number))

    def heal(self) -> None:
        self.cuts.clear()

    async def watch_over(self) -> None:
        while True:
            self.check_members()
            for sim in self.members.values():
                # Those who are connected to a removed member tell it so.
                if sim.member is not None and self._is_removed(sim.number):
                    sim.member.tell_removed()
                if sim.member is not None and sim.member.removed.done():
                    sim.crash()
            await asyncio.sleep(0.02)

    def _is_removed(self, number: int) -> bool:
        return any(
            sim.member is not None
            and number in sim.replica.machine.members.removed
            and not self.is_cut(sim.number, number)
            for sim in self.members.values()
        )

    def _current(self) -> list[SimMember]:
        """The members that the newest state knows."""
        newest = max(
            (sim for sim in self.members.values() if sim.member is not None),
            key=lambda sim: sim.replica.machine.applied,
        )
        return [self.members[member.ID] for member in newest.replica.machine.members.all()]

    async def settle(self) -> None:
        """Everything is repaired; soon all members are up, agree, and take writes."""
        self.heal()
        self.loss = self.duplicates = 0.0
        for sim in self.members.values():
            if not sim.up and not sim.is_gone:
                sim.start()
        deadline = self.loop.time() + 30
        while True:
            self.check_members()
            sim = self.random.choice([sim for sim in self.members.values() if sim.up])
            assert sim.member is not None
            try:
                async with asyncio.timeout(3):
                    await sim.member.propose(kinds.PUT, PutRequest(key=b"end").SerializeToString())
                break
            except (StoreError, TimeoutError):
                if self.loop.time() > deadline:
                    self._break("the cluster did not come back")
        while len({sim.replica.machine.applied for sim in self._current()}) > 1:
            if self.loop.time() > deadline:
                self._break("a member did not catch up")
            await asyncio.sleep(0.1)
        states = {
            tuple(version.encoded for version in sim.replica.machine.keyspace.live.values()) for sim in self._current()
        }
        if len(states) != 1:
            self._break("members hold different keys")


async def live(world: World, seconds: float) -> None:
    """Lets the world run, troubled, for `seconds` of its own time, and then settle."""
    for sim in world.members.values():
        sim.start()
    until = world.loop.time() + seconds
    overseer = asyncio.create_task(world.watch_over())
    clients = [asyncio.create_task(world.client(name, 2, until)) for name in range(4)]
    trouble = asyncio.create_task(world.trouble(until))
    try:
        waiting: set[asyncio.Task[None]] = {*clients, trouble}
        while waiting:
            done, waiting = await asyncio.wait({*waiting, overseer}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            waiting.discard(overseer)
        await world.settle()
    finally:
        for task in (overseer, trouble, *clients):
            task.cancel()
        await asyncio.gather(overseer, trouble, *clients, return_exceptions=True)
        for sim in world.members.values():
            if sim.member is not None:
                sim.member.stop()
                if sim.member.failed.done():
                    sim.member.failed.exception()
