"""Snapshots: whole or not there, equal to the state they were taken of, taken while writes go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from etcd.log_pb2 import Proposal
from etcd.rpc_pb2 import (
    AlarmRequest,
    CompactionRequest,
    DeleteRangeRequest,
    LeaseGrantRequest,
    Member,
    PutRequest,
)

from store.machine import StateMachine
from store.members import Members
from store.raft import snapshot
from store.raft.files import DataCorrupt
from store.raft.snapshot import SnapshotFile


def put(key: bytes, value: bytes, lease: int = 0) -> Proposal:
    return Proposal(put=PutRequest(key=key, value=value, lease=lease))


def made() -> StateMachine:
    machine = StateMachine(Members([Member(ID=1, name="a"), Member(ID=2, name="b", isLearner=True)], [9]))
    proposals = [Proposal(lease_grant=LeaseGrantRequest(ID=5, TTL=60))]
    proposals += [put(b"k%d" % (number % 300), b"%d" % number) for number in range(1000)]
    proposals += [put(b"leased", b"x", 5), Proposal(delete_range=DeleteRangeRequest(key=b"k1", range_end=b"k2"))]
    proposals += [Proposal(compaction=CompactionRequest(revision=900))]
    proposals += [Proposal(alarm=AlarmRequest(action=AlarmRequest.ACTIVATE, memberID=1, alarm=1))]
    for index, proposal in enumerate(proposals, 2):
        assert machine.apply(index, 1, [proposal])[0].error is None
    return machine


def contents(machine: StateMachine) -> object:
    keyspace = machine.keyspace
    return (
        keyspace.revision,
        keyspace.compact_revision,
        [
            (version.encoded, version.sub)
            for key in keyspace.all_keys()
            for version in keyspace.visible(keyspace.history(key), keyspace.revision, keyspace.compact_revision)
        ],
        [(lease.identifier, lease.ttl, sorted(lease.keys)) for lease in machine.leases.all()],
        machine.members.all(),
        machine.members.removed,
        machine.alarms,
        machine.applied,
    )


def write(folder: Path, machine: StateMachine) -> SnapshotFile:
    file = SnapshotFile(folder)
    file.write(snapshot.frames(machine.keyspace, snapshot.head_of(machine, 7, 3, 2)))
    return file


def test_a_snapshot_brings_back_the_state(tmp_path: Path) -> None:
    machine = made()
    head, loaded = write(tmp_path, machine).load()
    assert (head.cluster_id, head.term, head.previous_term, head.index) == (7, 3, 2, machine.applied)
    assert contents(loaded) == contents(machine)
    for start in range(machine.keyspace.compact_revision, machine.keyspace.revision + 1):
        places = (machine.keyspace, loaded.keyspace)
        ours, theirs = ([v.encoded for v in space.log[start - space.log_start]] for space in places)
        assert ours == theirs


def test_writes_during_a_snapshot_are_not_in_it(tmp_path: Path) -> None:
    machine = made()
    expected = contents(machine)
    pieces = snapshot.frames(machine.keyspace, snapshot.head_of(machine, 7, 3, 2))
    collected = []
    for number, piece in enumerate(pieces):
        collected.append(piece)
        machine.apply(5000 + number, 1, [put(b"k5", b"late"), put(b"new%d" % number, b"late")])
        machine.apply(6000 + number, 1, [Proposal(delete_range=DeleteRangeRequest(key=b"k3"))])
    file = SnapshotFile(tmp_path)
    file.write(iter(collected))
    assert contents(file.load()[1]) == expected


def test_every_bit_and_every_byte_of_a_snapshot_counts(tmp_path: Path) -> None:
    machine = StateMachine(Members([Member(ID=1, name="a")]))
    for index in range(2, 5):
        machine.apply(index, 1, [put(b"k%d" % index, b"v")])
    file = write(tmp_path, machine)
    whole = file.path.read_bytes()
    for place in range(len(whole)):
        file.path.write_bytes(whole[:place])
        with pytest.raises(DataCorrupt):
            file.load()
        for bit in range(8):
            data = bytearray(whole)
            data[place] ^= 1 << bit
            file.path.write_bytes(data)
            with pytest.raises(DataCorrupt, match="is damaged at byte"):
                file.load()


def test_a_damaged_snapshot_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, made())
    whole = file.path.read_bytes()
    for place in range(0, len(whole), 97):
        data = bytearray(whole)
        data[place] ^= 4
        file.path.write_bytes(data)
        with pytest.raises(DataCorrupt, match="is damaged at byte"):
            file.load()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        file.path.write_bytes(whole[:size])
        with pytest.raises(DataCorrupt):
            file.load()


def test_a_failed_snapshot_leaves_the_one_before(tmp_path: Path) -> None:
    file = write(tmp_path, made())
    before = file.path.read_bytes()

    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        file.write(pieces())
    assert file.path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot"]
