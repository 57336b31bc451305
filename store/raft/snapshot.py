"""Snapshots of the state machine: written while writes go on, replaced atomically, read with suspicion.

A snapshot file is a series of frames: a head, versions in pieces, a tail with their number, and nothing after it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from etcd.log_pb2 import LeaseRecord, SnapshotHead, SnapshotTail, SnapshotVersions
from etcd.rpc_pb2 import AlarmMember
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from store.lease.table import Lease
from store.machine import StateMachine
from store.members import Members
from store.mvcc.keyspace import Keyspace
from store.mvcc.version import Version
from store.raft.files import DataCorrupt, sync_directory, write_all
from store.raft.frame import SECTOR_BYTES, Damage, Piece, pack, read

KEYS_PER_PIECE = 256
FILE_NAME = "snapshot"


def head_of(machine: StateMachine, cluster_id: int, term: int, previous_term: int) -> SnapshotHead:
    """The head of a snapshot of `machine` as it is now, which `versions_of` may take its time to follow."""
    return SnapshotHead(
        cluster_id=cluster_id,
        index=machine.applied,
        term=term,
        previous_term=previous_term,
        revision=machine.keyspace.revision,
        compact_revision=machine.keyspace.compact_revision,
        members=machine.members.all(),
        removed_members=sorted(machine.members.removed),
        leases=[
            LeaseRecord(ID=lease.identifier, TTL=lease.ttl, remaining=lease.remaining) for lease in machine.leases.all()
        ],
        alarms=[AlarmMember(memberID=who, alarm=what) for who, what in sorted(machine.alarms)],
    )


def versions_of(keyspace: Keyspace, head: SnapshotHead) -> Iterator[SnapshotVersions]:
    """The history that `head` speaks of, in pieces.

    Writes may go on between two pieces: what they add is newer than the head and is left out. Nothing may be scrubbed
    from the keyspace meanwhile.
    """
    keys = keyspace.all_keys()
    for place in range(0, len(keys), KEYS_PER_PIECE):
        piece = SnapshotVersions()
        for key in keys[place : place + KEYS_PER_PIECE]:
            for version in keyspace.visible(keyspace.history(key), head.revision, head.compact_revision):
                piece.versions.add(kv=version.encoded, sub=version.sub, tombstone=version.is_tombstone)
        yield piece


def frames(keyspace: Keyspace, head: SnapshotHead) -> Iterator[bytes]:
    """The bytes of a whole snapshot file, in pieces. As `versions_of`."""
    first = pack(0, head.SerializeToString())
    yield first
    sequence = 1
    count = 0
    size = len(first)
    for versions in versions_of(keyspace, head):
        piece = pack(sequence, versions.SerializeToString())
        yield piece
        sequence += 1
        count += len(versions.versions)
        size += len(piece)
    yield _tail(sequence, count, size)


def _tail(sequence: int, versions: int, size: int) -> bytes:
    """The last piece behind `size` bytes; it fills the file up to a multiple of a sector."""
    padding = 0
    while True:
        piece = pack(sequence, SnapshotTail(versions=versions, padding=bytes(padding)).SerializeToString())
        if (size + len(piece)) % SECTOR_BYTES == 0:
            return piece
        padding += 1


class SnapshotFile:
    """The snapshot in a data directory. There is at most one, and it is always whole."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._unfinished = folder / f"{FILE_NAME}.new"

    def begin(self) -> int:
        """Opens a new file beside the present one and returns its descriptor. Raises OSError."""
        return os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def commit(self, descriptor: int) -> None:
        """Puts the new file, now written, in the place of the present one. Raises OSError."""
        os.fsync(descriptor)
        os.close(descriptor)
        self._unfinished.rename(self.path)
        sync_directory(self.path.parent)

    def abandon(self, descriptor: int) -> None:
        """Gives up the new file."""
        os.close(descriptor)
        self._unfinished.unlink(missing_ok=True)

    def write(self, pieces: Iterator[bytes]) -> None:
        """Writes all pieces and commits. Raises OSError; then the present file stays."""
        descriptor = self.begin()
        try:
            for piece in pieces:
                write_all(descriptor, piece)
        except BaseException:
            self.abandon(descriptor)
            raise
        self.commit(descriptor)

    def exists(self) -> bool:
        """Whether there is a snapshot."""
        return self.path.exists()

    def load(self) -> tuple[SnapshotHead, StateMachine]:
        """Reads the snapshot. Raises DataCorrupt or OSError."""
        return load(self.path)


def _pieces(path: Path, data: bytes) -> Iterator[Piece]:
    for sequence, piece in enumerate(read(data)):
        if isinstance(piece, Damage):
            raise DataCorrupt(path, piece.offset, piece.reason)
        if piece.sequence != sequence:
            raise DataCorrupt(path, piece.start, f"record {sequence} was expected, {piece.sequence} is here")
        yield piece


def load(path: Path) -> tuple[SnapshotHead, StateMachine]:
    """Reads a snapshot file and checks all of it.

    Raises:
        DataCorrupt: it is damaged or not whole.
        OSError: it cannot be read.
    """
    return parse(path.read_bytes(), path)


def parse(data: bytes, path: Path) -> tuple[SnapshotHead, StateMachine]:
    """As `load`, of bytes that are said to be from `path`."""
    pieces = list(_pieces(path, data))
    if len(pieces) < 2:
        raise DataCorrupt(path, 0, "the file is not a whole snapshot")
    piece = pieces[0]
    versions: list[Version] = []
    try:
        head = SnapshotHead.FromString(piece.payload)
        for piece in pieces[1:-1]:
            for record in SnapshotVersions.FromString(piece.payload).versions:
                versions.append(Version.decode(record.kv, record.sub))
        piece = pieces[-1]
        tail = SnapshotTail.FromString(piece.payload)
    except DecodeError as error:
        raise DataCorrupt(path, piece.start, "the record cannot be decoded") from error
    if len(UnknownFieldSet(tail)):
        raise DataCorrupt(path, piece.end, "the file ends before its tail")
    if tail.versions != len(versions):
        raise DataCorrupt(path, piece.start, f"{tail.versions} versions were expected, {len(versions)} are here")
    return head, _machine(head, versions)


def _machine(head: SnapshotHead, versions: list[Version]) -> StateMachine:
    machine = StateMachine(Members(head.members, head.removed_members))
    machine.applied = head.index
    machine.keyspace.load(versions, head.revision, head.compact_revision)
    for record in head.leases:
        machine.leases.restore(Lease(record.ID, record.TTL, record.remaining))
    for version in machine.keyspace.live.values():
        machine.leases.move(version.key, 0, version.lease)
    machine.alarms = {(alarm.memberID, alarm.alarm) for alarm in head.alarms}
    return machine
