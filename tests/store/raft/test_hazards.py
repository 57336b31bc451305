"""What PySyncObj does not do by itself, each with a test that fails without our cure.

The cluster-wide promises are in `tests/store/simulation`; here each hazard is looked at by itself.
"""

from __future__ import annotations

import ast
import pickle
from pathlib import Path
from typing import Any

import pysyncobj.serializer
import pysyncobj.syncobj
import pytest
from etcd.log_pb2 import HardState, Identity, LogEntry, MembershipChange
from etcd.peer_pb2 import Entries, Envelope, Stored, TakeOver, Vote, VoteRequest
from etcd.rpc_pb2 import Member
from pysyncobj import SyncObj
from pysyncobj.version import VERSION

from store.members import Members
from store.raft import engine as raft
from store.raft.courier import Courier
from store.raft.engine import Engine, LogBroken, Timing, node_of
from store.raft.journal import NO_OPERATION, DurableJournal
from store.raft.wal import WriteAheadLog

CLUSTER = 5
ME, LEADER, OTHER = 1, 2, 3


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Rig:
    """One member alone in front of envelopes that the test makes up."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        monkeypatch.setattr(pysyncobj.syncobj, "monotonicTime", self.clock)
        self.folder = folder
        self.sent: list[Envelope] = []
        self.applied: list[tuple[int, int]] = []
        self.members = Members([Member(ID=number, name="m") for number in (ME, LEADER, OTHER)])
        self.open()

    def open(self) -> None:
        wal = WriteAheadLog(self.folder / "wal")
        if WriteAheadLog.exists(self.folder / "wal"):
            recovered = wal.recover()
            self.journal = DurableJournal(wal, recovered.entries, recovered.state)
        else:
            wal.create(Identity(cluster_id=CLUSTER, member_id=ME))
            self.journal = DurableJournal(wal, [], HardState())
            self.journal.add(NO_OPERATION, 1, 0)
        self.journal.sync()
        self.wal = wal
        self.courier = Courier(cluster=CLUSTER, member=ME, link=self, clock=self.clock, patience=0.5, wake=lambda: None)
        self.engine = Engine(
            ME,
            members=lambda: self.members,
            journal=self.journal,
            applied=1,
            transport=self.courier,
            timing=Timing(0.1, 0.5),
            random=lambda: 0.5,
            apply=lambda index, term, _kind, _body: self.applied.append((index, term)),
        )
        self.courier.engine = self.engine
        self.engine.connected(LEADER)
        self.engine.connected(OTHER)

    def transmit(self, _member: int, envelopes: list[Envelope]) -> None:
        self.sent += envelopes

    def turn(self) -> list[Envelope]:
        """One turn of a member's loop; what was sent in it."""
        self.sent = []
        self.courier.receive_all()
        self.journal.sync()
        self.courier.before_tick()
        self.engine.tick()
        if self.engine.state == raft.LEADER:
            self.engine.send_entries()
        self.journal.sync()
        self.courier.flush()
        return self.sent

    def deliver(self, sender: int, term: int, destination: int = ME, cluster: int = CLUSTER, **message: Any) -> None:
        self.courier.deliver(Envelope(cluster_id=cluster, sender=sender, destination=destination, term=term, **message))

    def entries(self, term: int, previous: tuple[int, int], entries: list[tuple[int, int]], commit: int = 1) -> None:
        message = Entries(term=term, commit=commit, previous_index=previous[0], previous_term=previous[1])
        message.entries.extend(LogEntry(index=index, term=of, command=b"\x00x") for index, of in entries)
        self.deliver(LEADER, term, entries=message)

    def log(self) -> list[tuple[int, int]]:
        return [(index, term) for _, index, term in self.journal[:]]

    def lead(self) -> None:
        """Makes the member the leader, by everybody's vote."""
        self.clock.now += 2
        self.turn()
        for voter in (LEADER, OTHER):
            self.deliver(voter, 0, would_vote=Vote(term=self.engine.raftCurrentTerm + 1))
        self.turn()
        self.deliver(LEADER, self.engine.raftCurrentTerm, vote=Vote(term=self.engine.raftCurrentTerm))
        self.turn()
        assert self.engine.state == raft.LEADER


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(tmp_path, monkeypatch)


def kinds(envelopes: list[Envelope]) -> list[str | None]:
    return [envelope.WhichOneof("message") for envelope in envelopes]


def test_the_release_in_use_has_what_is_overridden() -> None:
    assert VERSION == "0.3.17"
    for name in vars(Engine):
        if name.startswith("_SyncObj__"):
            assert name in vars(SyncObj), f"PySyncObj does not call {name} any more"


def test_1_a_restarted_member_does_not_vote_twice(rig: Rig) -> None:
    request = VoteRequest(term=3, last_index=1, last_term=0)
    rig.deliver(OTHER, 3, vote_request=request)
    assert kinds(rig.turn()) == ["vote"]
    rig.wal.close()
    rig.open()
    assert rig.engine.raftCurrentTerm == 3
    rig.deliver(LEADER, 3, vote_request=request)
    assert kinds(rig.turn()) == []


def test_2_and_3_nothing_is_said_before_it_is_durable(rig: Rig) -> None:
    rig.entries(1, (1, 0), [(2, 1)])
    rig.courier.receive_all()
    assert rig.journal.dirty and rig.sent == []
    rig.turn()
    (answer,) = rig.sent
    assert answer.stored.next_index == 3
    rig.wal.close()
    rig.open()
    assert rig.log() == [(1, 0), (2, 1)]


def test_4_an_acknowledgement_of_an_earlier_leadership_is_not_counted(rig: Rig) -> None:
    rig.lead()
    term = rig.engine.raftCurrentTerm
    noop = rig.engine.last_index
    for follower in (LEADER, OTHER):
        rig.deliver(follower, term - 1, stored=Stored(next_index=noop + 1, success=True))
    rig.turn()
    rig.turn()
    assert rig.engine.raftCommitIndex < noop
    rig.deliver(OTHER, term, stored=Stored(next_index=noop + 1, success=True))
    rig.turn()
    assert rig.engine.raftCommitIndex == noop


def test_4_a_vote_counts_once_and_only_from_a_voter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path, monkeypatch)
    rig.members = Members([Member(ID=number, name="m") for number in range(1, 6)])
    rig.engine.reconfigure()
    for number in range(2, 6):
        rig.engine.connected(number)
    rig.clock.now += 2
    rig.turn()
    for voter in (2, 3):
        rig.deliver(voter, 0, would_vote=Vote(term=1))
    rig.turn()
    assert rig.engine.state == raft.CANDIDATE
    rig.deliver(2, 1, vote=Vote(term=1))
    rig.deliver(2, 1, vote=Vote(term=1))
    rig.deliver(99, 1, vote=Vote(term=1))
    rig.turn()
    assert rig.engine.state == raft.CANDIDATE
    rig.deliver(3, 1, vote=Vote(term=1))
    rig.turn()
    assert rig.engine.state == raft.LEADER


@pytest.mark.parametrize(("cluster", "destination"), [(6, ME), (CLUSTER, OTHER)])
def test_4_foreign_messages_are_dropped(rig: Rig, cluster: int, destination: int) -> None:
    request = VoteRequest(term=9, last_index=9, last_term=9)
    rig.deliver(OTHER, 9, destination, cluster, vote_request=request)
    assert kinds(rig.turn()) == []
    assert rig.engine.raftCurrentTerm == 0
    assert sum(rig.courier.dropped.values()) == 1


def test_5_a_flapping_member_does_not_depose_a_leader_that_is_heard(rig: Rig) -> None:
    rig.entries(1, (1, 0), [(2, 1)])
    rig.turn()
    request = VoteRequest(term=7, last_index=50, last_term=6)
    rig.deliver(OTHER, 7, vote_request=request)
    rig.deliver(OTHER, 1, would_you_vote=request)
    assert kinds(rig.turn()) == []
    assert rig.engine.raftCurrentTerm == 1 and rig.engine.leader == node_of(LEADER)
    rig.deliver(OTHER, 7, vote_request=VoteRequest(term=7, last_index=50, last_term=6, transfer=True))
    assert kinds(rig.turn()) == ["vote"]


def test_5_a_member_that_is_cut_off_keeps_its_term(rig: Rig) -> None:
    for _ in range(20):
        rig.clock.now += 2
        assert set(kinds(rig.turn())) <= {"would_you_vote"}
    assert rig.engine.raftCurrentTerm == 0


def test_6_a_leader_is_certain_only_after_an_entry_of_its_own_term(rig: Rig) -> None:
    rig.lead()
    assert not rig.engine.leads_with_certainty
    rig.deliver(OTHER, rig.engine.raftCurrentTerm, stored=Stored(next_index=rig.engine.last_index + 1, success=True))
    rig.turn()
    assert rig.engine.leads_with_certainty


def test_6_a_round_of_reading_needs_answers_sent_after_it_began(rig: Rig) -> None:
    rig.lead()
    term = rig.engine.raftCurrentTerm
    number = rig.courier.next_round()
    stored = Stored(next_index=rig.engine.last_index + 1, success=True)
    rig.deliver(OTHER, term, round=number - 1, stored=stored)
    rig.turn()
    assert not rig.courier.confirmed(number)
    rig.deliver(OTHER, term, round=number, stored=stored)
    rig.turn()
    assert rig.courier.confirmed(number)


def test_7_nothing_from_outside_reaches_pickle(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any) -> None:
        raise AssertionError("something was unpickled")

    for module in (pysyncobj.syncobj.pickle, pysyncobj.serializer.pickle):
        for name in ("load", "loads", "dump", "dumps"):
            monkeypatch.setattr(module, name, refuse)
    rig.entries(1, (1, 0), [(2, 1)], commit=2)
    evil = Entries(term=1, commit=4, previous_index=2, previous_term=1)
    change = MembershipChange(kind=MembershipChange.UPDATE, member=Member(ID=OTHER, peerURLs=["http://x:1"]))
    evil.entries.append(LogEntry(index=3, term=1, command=bytes([raft.MEMBERSHIP]) + change.SerializeToString()))
    evil.entries.append(LogEntry(index=4, term=1, command=b"\x03" + pickle.dumps(["any"])))
    rig.deliver(LEADER, 1, entries=evil)
    rig.turn()
    assert [index for index, _ in rig.applied] == [2, 3, 4]
    rig.lead()
    big = b"x" * 3_000_000
    rig.engine.submit(raft.REGULAR, big, lambda *_: None)
    rig.turn()
    assert "entries" in kinds(rig.turn())


def test_7_and_8_the_store_has_no_use_for_what_unpickles_forks_or_writes_pysyncobjs_files() -> None:
    forbidden = {"pickle", "multiprocessing", "subprocess", "dill", "shelve", "marshal"}
    named = {"fork", "forkpty", "FileJournal", "TCPTransport", "TcpServer", "fullDumpFile", "journalFile"}
    found = []
    for path in sorted(Path(raft.__file__).parent.parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(name.name for name in node.names)]
            elif isinstance(node, ast.Attribute):
                names = [node.attr]
            elif isinstance(node, ast.keyword):
                names = [node.arg or ""]
            found += [f"{path}: {name}" for name in names if name in forbidden | named]
    assert found == []


def test_8_no_process_is_forked(rig: Rig) -> None:
    assert rig.engine.conf.useFork is False and rig.engine.conf.fullDumpFile is None


def test_9_a_command_leaves_at_once(rig: Rig) -> None:
    rig.lead()
    rig.engine.submit(raft.REGULAR, b"command", lambda *_: None)
    sent = [entry.command for envelope in rig.turn() for entry in envelope.entries.entries]
    assert b"\x00command" in sent


def test_10_the_log_decides_who_is_a_member_not_a_dump(rig: Rig) -> None:
    change = MembershipChange(kind=MembershipChange.REMOVE, member=Member(ID=OTHER))
    message = Entries(term=1, commit=1, previous_index=1, previous_term=0)
    message.entries.append(LogEntry(index=2, term=1, command=bytes([raft.MEMBERSHIP]) + change.SerializeToString()))
    rig.deliver(LEADER, 1, entries=message)
    rig.turn()
    assert rig.engine.configuration.voters() == [ME, LEADER]
    rig.entries(2, (1, 0), [(2, 2)])
    rig.turn()
    assert rig.engine.configuration.voters() == [ME, LEADER, OTHER]


def test_a_late_message_does_not_remove_what_was_acknowledged(rig: Rig) -> None:
    rig.entries(1, (1, 0), [(2, 1), (3, 1), (4, 1)])
    rig.turn()
    rig.entries(1, (1, 0), [(2, 1)])
    rig.entries(1, (1, 0), [])
    (first, second) = rig.turn()
    assert rig.log()[-1] == (4, 1)
    assert (first.stored.next_index, second.stored.next_index) == (3, 2)


def test_what_was_not_compared_is_not_committed(rig: Rig) -> None:
    """A member has entries of a leader that lost; the beats of the next one say nothing about them."""
    rig.entries(1, (1, 0), [(2, 1), (3, 1)])
    rig.turn()
    rig.entries(2, (1, 0), [], commit=3)
    rig.turn()
    rig.deliver(LEADER, 2, entries=Entries(term=2, commit=3, snapshot_follows=True))
    rig.turn()
    assert rig.applied == []


def test_what_was_applied_is_never_replaced(rig: Rig) -> None:
    rig.entries(1, (1, 0), [(2, 1)], commit=2)
    rig.turn()
    assert rig.applied == [(2, 1)]
    rig.entries(2, (1, 0), [(2, 2)])
    with pytest.raises(LogBroken, match="applied here"):
        rig.turn()


def test_who_sends_in_a_term_that_has_passed_is_told(rig: Rig) -> None:
    rig.entries(5, (1, 0), [])
    rig.turn()
    rig.deliver(OTHER, 4, entries=Entries(term=4, commit=1, previous_index=1))
    (told,) = rig.turn()
    assert (told.WhichOneof("message"), told.term, told.destination) == ("stale_term", 5, OTHER)


def test_leadership_is_taken_over_only_at_the_leaders_request(rig: Rig) -> None:
    rig.entries(1, (1, 0), [])
    rig.turn()
    rig.deliver(OTHER, 1, take_over=TakeOver(term=1))
    assert kinds(rig.turn()) == []
    rig.deliver(LEADER, 1, take_over=TakeOver(term=1))
    requests = [envelope.vote_request for envelope in rig.turn() if envelope.HasField("vote_request")]
    assert len(requests) == 2 and all(request.transfer for request in requests)


def test_a_removal_that_is_not_committed_does_not_silence_the_leader_who_undoes_it(rig: Rig) -> None:
    change = MembershipChange(kind=MembershipChange.REMOVE, member=Member(ID=LEADER))
    message = Entries(term=1, commit=1, previous_index=1, previous_term=0)
    message.entries.append(LogEntry(index=2, term=1, command=bytes([raft.MEMBERSHIP]) + change.SerializeToString()))
    rig.deliver(OTHER, 1, entries=message)
    rig.turn()
    assert rig.engine.configuration.voters() == [ME, OTHER]
    rig.entries(2, (1, 0), [(2, 2)])
    (answer,) = rig.turn()
    assert answer.stored.success and rig.log()[-1] == (2, 2)
    assert rig.engine.configuration.voters() == [ME, LEADER, OTHER]
