"""The data directory: whose it is, and putting log and snapshot together when a member starts."""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from etcd.log_pb2 import Identity, SnapshotHead

from store.machine import StateMachine
from store.members import Members
from store.raft.files import DataCorrupt, sync_directory
from store.raft.journal import NO_OPERATION, STAND_IN, DurableJournal
from store.raft.snapshot import SnapshotFile
from store.raft.wal import Entry, WriteAheadLog


class DirectoryInUse(Exception):
    """Another process holds the data directory."""


@dataclass
class Recovery:
    """A member as its directory remembers it."""

    identity: Identity
    machine: StateMachine
    journal: DurableJournal
    wal: WriteAheadLog
    snapshot: SnapshotFile
    snapshot_index: int
    cut_bytes: int


class DataDirectory:
    """One member's directory, held by one process at a time."""

    def __init__(self, path: Path) -> None:
        """Takes the directory, making it where it is missing.

        Raises:
            DirectoryInUse: another process has it.
            OSError: it cannot be made or read.
        """
        self._member = path / "member"
        self._member.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(self._member / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise DirectoryInUse(f"{path} is in use by another process") from error

    @property
    def is_new(self) -> bool:
        """Whether no member has lived here yet."""
        return not WriteAheadLog.exists(self._member / "wal")

    @property
    def member_folder(self) -> Path:
        """Where the member's files are."""
        return self._member

    def create(self, identity: Identity) -> None:
        """Makes it the directory of a new member. Raises OSError."""
        wal = WriteAheadLog(self._member / "wal")
        wal.create(identity)
        wal.close()
        # The folders themselves must be there after a power cut, not only what is in them.
        sync_directory(self._member)
        sync_directory(self._member.parent)
        with contextlib.suppress(PermissionError):
            sync_directory(self._member.parent.parent)

    def recover(self) -> Recovery:
        """Reads what is there.

        Raises:
            DataCorrupt: a file is damaged.
            OSError: a file cannot be read or written.
        """
        snapshot = SnapshotFile(self._member)
        wal = WriteAheadLog(self._member / "wal")
        recovered = wal.recover()
        head: SnapshotHead | None = None
        if snapshot.exists():
            head, machine = snapshot.load()
            if head.cluster_id != recovered.identity.cluster_id:
                raise DataCorrupt(snapshot.path, 0, "the snapshot belongs to another cluster than the log")
        else:
            machine = StateMachine(Members(recovered.identity.members), recovered.identity.first_revision or 1)
        entries, complete = assemble(recovered.entries, head, self._member)
        journal = DurableJournal(wal, entries if complete else [], recovered.state)
        if not complete:
            journal.clear()
            for entry in entries:
                journal.add(*entry)
            journal.sync()
        return Recovery(
            recovered.identity, machine, journal, wal, snapshot, head.index if head else 0, recovered.cut_bytes
        )

    def close(self) -> None:
        """Lets go of the directory."""
        os.close(self._lock)


def assemble(entries: list[Entry], head: SnapshotHead | None, folder: Path) -> tuple[list[Entry], bool]:
    """The log to go on with, from what the log files and the snapshot say.

    It begins with the entries at the snapshot and just before it, or with the entry every log begins with. The second
    value tells whether the files hold it as it is; otherwise they have to be begun anew with it.

    Raises:
        DataCorrupt: entries are missing between the snapshot and the log.
    """
    if head is None:
        if not entries:
            return [(NO_OPERATION, 1, 0)], False
        if entries[0][1] != 1:
            raise DataCorrupt(folder / "wal", 0, f"the log begins at entry {entries[0][1]}, and there is no snapshot")
        return entries, True
    base: list[Entry] = [
        (STAND_IN, head.index - 1, head.previous_term),
        (STAND_IN, head.index, head.term),
    ]
    if not entries or entries[-1][1] < head.index:
        return base, False
    place = head.index - entries[0][1]
    if place < 0:
        raise DataCorrupt(
            folder / "wal", 0, f"the log begins at entry {entries[0][1]}, and the snapshot ends at {head.index}"
        )
    if entries[place][2] != head.term:
        # The snapshot came from a leader whose log had replaced this one.
        return base, False
    return base + entries[place + 1 :], True
