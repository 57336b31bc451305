"""The turns of a member: what rests on the disk waits for the disk, and nothing else waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from etcd.log_pb2 import HardState, Identity, LogEntry
from etcd.peer_pb2 import Answer, Entries, Envelope, Question, Stored, Vote, VoteRequest
from etcd.rpc_pb2 import Member, PutRequest

from store.errors import RequestTimeout
from store.machine import StateMachine
from store.members import Members
from store.raft import engine as raft
from store.raft import proposer as kinds
from store.raft.courier import Courier
from store.raft.engine import Engine, LogApplier, Timing
from store.raft.journal import NO_OPERATION, DurableJournal
from store.raft.member import ConsensusMember
from store.raft.wal import WriteAheadLog
from store.replica import Replica
from tests.waiting import eventually

CLUSTER = 5
ME, FRIEND, OTHER = 1, 2, 3
# So long that no timer does anything during a test.
TIMING = Timing(heartbeat=100.0, election=1000.0)


class HeldDisk:
    """Does its work only when it is told to."""

    def __init__(self) -> None:
        self.held: list[tuple[Callable[[], object], Callable[[Exception | None], None]]] = []
        self.holds = False

    def run(self, work: Callable[[], object], done: Callable[[Exception | None], None]) -> None:
        self.held.append((work, done))
        if not self.holds:
            self.release()

    def release(self) -> None:
        work, done = self.held.pop(0)
        work()
        asyncio.get_running_loop().call_soon(done, None)

    def close(self) -> None:
        """Nothing is open."""


class Bench:
    """A member in front of envelopes and a disk that the test moves."""

    def __init__(self, folder: Path, voters: tuple[int, ...]) -> None:
        self.disk = HeldDisk()
        self.sent: list[Envelope] = []
        self.replica = Replica(StateMachine(Members([Member(ID=number, name="m") for number in voters])))
        wal = WriteAheadLog(folder / "wal")
        wal.create(Identity(cluster_id=CLUSTER, member_id=ME))
        journal = DurableJournal(wal, [], HardState())
        journal.add(NO_OPERATION, 1, 0)
        journal.sync()
        courier = Courier(cluster=CLUSTER, member=ME, link=self, clock=time.monotonic, patience=0.0, wake=lambda: None)
        self.courier = courier

        def make_engine(apply: LogApplier) -> Engine:
            return Engine(
                ME,
                members=lambda: self.replica.machine.members,
                journal=journal,
                applied=1,
                transport=courier,
                timing=TIMING,
                random=lambda: 0.5,
                apply=apply,
            )

        self.member = ConsensusMember(
            member=ME,
            replica=self.replica,
            journal=journal,
            courier=courier,
            make_engine=make_engine,
            disk=self.disk,
            timing=TIMING,
            clock=time.monotonic,
            first_batch=1,
            ask=self.ask,
        )
        self.engine = self.member.engine
        for voter in voters:
            if voter != ME:
                self.engine.connected(voter)
        self.member.start()

    def transmit(self, _member: int, envelopes: list[Envelope]) -> None:
        self.sent += envelopes

    async def ask(self, _member: int, _question: Question) -> Answer:
        raise RequestTimeout

    def deliver(self, sender: int, term: int, **message: Any) -> None:
        self.courier.deliver(Envelope(cluster_id=CLUSTER, sender=sender, destination=ME, term=term, **message))

    def said(self, kind: str) -> list[Envelope]:
        return [envelope for envelope in self.sent if envelope.WhichOneof("message") == kind]

    async def lead(self) -> None:
        """Makes the member the leader of the three, with certainty."""
        self.engine.stand_for_election()
        self.member.wake()
        await eventually(lambda: self.said("would_you_vote"))
        self.deliver(FRIEND, 0, would_vote=Vote(term=1))
        await eventually(lambda: self.said("vote_request"))
        self.deliver(FRIEND, 1, vote=Vote(term=1))
        await eventually(lambda: self.engine.state == raft.LEADER)
        self.deliver(FRIEND, 1, stored=Stored(next_index=self.engine.last_index + 1, success=True))
        await eventually(lambda: self.engine.leads_with_certainty)
        self.sent.clear()

    def put(self) -> asyncio.Task[Any]:
        request = PutRequest(key=b"k", value=b"marked value").SerializeToString()
        return asyncio.create_task(self.member.propose(kinds.PUT, request))


async def turns() -> None:
    """Everything that can be done without waiting is done."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, (ME,))
    await eventually(lambda: bench.engine.leads_with_certainty)
    yield bench
    bench.member.stop()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path, (ME, FRIEND, OTHER))
    yield made
    made.member.stop()


async def test_a_member_alone_acknowledges_when_its_disk_has_it(alone: Bench) -> None:
    alone.disk.holds = True
    put = alone.put()
    await turns()
    assert alone.disk.held and not put.done()
    assert alone.replica.machine.keyspace.get(b"k") is None
    alone.disk.holds = False
    alone.disk.release()
    assert (await asyncio.wait_for(put, 5)).error is None


async def test_a_leader_counts_itself_only_when_its_disk_has_it(bench: Bench) -> None:
    await bench.lead()
    bench.disk.holds = True
    put = bench.put()
    await turns()
    # One of the others has it, and this one's disk is at work: that is no majority.
    bench.deliver(FRIEND, 1, stored=Stored(next_index=bench.engine.last_index + 1, success=True))
    await turns()
    assert bench.disk.held and not put.done()
    assert bench.engine.raftCommitIndex < bench.engine.last_index
    bench.disk.holds = False
    bench.disk.release()
    assert (await asyncio.wait_for(put, 5)).error is None


async def test_a_follower_acknowledges_when_its_disk_has_it(bench: Bench) -> None:
    bench.disk.holds = True
    message = Entries(term=1, commit=1, previous_index=1, previous_term=0)
    message.entries.append(LogEntry(index=2, term=1, command=b"\x01"))
    bench.deliver(FRIEND, 1, entries=message)
    await turns()
    assert bench.disk.held and bench.said("stored") == []
    bench.disk.holds = False
    bench.disk.release()
    await eventually(lambda: bench.said("stored"))


async def test_a_vote_leaves_when_the_disk_has_it(bench: Bench) -> None:
    bench.disk.holds = True
    bench.deliver(FRIEND, 3, vote_request=VoteRequest(term=3, last_index=1, last_term=0))
    await turns()
    assert bench.disk.held and bench.said("vote") == []
    bench.disk.holds = False
    bench.disk.release()
    await eventually(lambda: bench.said("vote"))


async def test_a_candidate_asks_for_votes_when_the_disk_has_its_own(bench: Bench) -> None:
    bench.engine.stand_for_election()
    bench.member.wake()
    await eventually(lambda: bench.said("would_you_vote"))
    bench.disk.holds = True
    bench.deliver(FRIEND, 0, would_vote=Vote(term=1))
    await turns()
    assert bench.disk.held and bench.said("vote_request") == []
    bench.disk.holds = False
    bench.disk.release()
    await eventually(lambda: bench.said("vote_request"))


async def test_a_write_leaves_at_once_while_the_disk_is_at_work(bench: Bench) -> None:
    """It waits for no timer, and the others store it while this member does."""
    await bench.lead()
    bench.disk.holds = True
    put = bench.put()
    await turns()
    commands = [entry.command for envelope in bench.said("entries") for entry in envelope.entries.entries]
    # To each of the two others.
    assert sum(b"marked value" in command for command in commands) == 2
    bench.disk.holds = False
    bench.disk.release()
    bench.deliver(FRIEND, 1, stored=Stored(next_index=bench.engine.last_index + 1, success=True))
    assert (await asyncio.wait_for(put, 5)).error is None


async def test_a_read_asks_the_others_and_waits_for_their_answers(bench: Bench) -> None:
    await bench.lead()
    read = asyncio.create_task(bench.member.barrier())
    await turns()
    assert not read.done()
    question = bench.said("entries")[-1].round
    answer = Stored(next_index=bench.engine.last_index + 1, success=True)
    bench.deliver(FRIEND, 1, round=question - 1, stored=answer)
    await turns()
    assert not read.done()
    bench.deliver(FRIEND, 1, round=question, stored=answer)
    await asyncio.wait_for(read, 5)


async def test_a_leader_that_was_deposed_answers_no_read(bench: Bench) -> None:
    await bench.lead()
    read = asyncio.create_task(bench.member.barrier())
    await turns()
    bench.deliver(OTHER, 2, entries=Entries(term=2, commit=1, previous_index=1, previous_term=0))
    await turns()
    assert bench.engine.state == raft.FOLLOWER and not read.done()
    read.cancel()
