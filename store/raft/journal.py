"""PySyncObj's log, kept in our write-ahead log.

PySyncObj calls these methods while it ticks and handles messages; nothing is on the disk before `sync`. Whoever drives
PySyncObj calls `sync` before it lets anything out that rests on what was added: commits, acknowledgements, votes.
"""

from __future__ import annotations

from typing import Any, overload

from etcd.log_pb2 import Frame, HardState
from pysyncobj.journal import Journal

from store.raft.wal import Entry, WriteAheadLog

NO_OPERATION = b"\x01"
# Stands where a snapshot took the place of an entry: it has the entry's index and term, and is never sent or applied.
STAND_IN = b"\x7f"


class DurableJournal(Journal):  # type: ignore[misc]
    """The entries in memory, and what of them still has to be written."""

    def __init__(self, wal: WriteAheadLog, entries: list[Entry], state: HardState) -> None:
        """Begins with what was recovered; `entries` holds at least one."""
        self._wal = wal
        self._entries = entries
        self._state = state
        self._unwritten: list[Entry] = []
        self._cut_from = 0
        self._restart = False
        self._state_changed = False
        self.bytes_held = sum(len(entry[0]) for entry in entries)

    # -- PySyncObj's interface; the names are its own ----------------------------------------------------------

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Appends an entry."""
        entry = (command, idx, term)
        self._entries.append(entry)
        self._unwritten.append(entry)
        self.bytes_held += len(command)

    def clear(self) -> None:
        """Drops all entries."""
        self._entries.clear()
        self._unwritten.clear()
        self._cut_from = 0
        self._restart = True
        self.bytes_held = 0

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        """Drops the entries from place `entryFrom` on: another leader's log won."""
        if entryFrom >= len(self._entries):
            return
        index = self._entries[entryFrom][1]
        self.bytes_held -= sum(len(entry[0]) for entry in self._entries[entryFrom:])
        del self._entries[entryFrom:]
        self._unwritten = [entry for entry in self._unwritten if entry[1] < index]
        self._cut_from = min(self._cut_from, index) if self._cut_from else index

    def deleteEntriesTo(self, entryTo: int) -> None:
        """Drops the entries before place `entryTo` from memory; a snapshot holds what they did."""
        self.bytes_held -= sum(len(entry[0]) for entry in self._entries[:entryTo])
        del self._entries[:entryTo]

    @overload
    def __getitem__(self, item: int) -> Entry: ...
    @overload
    def __getitem__(self, item: slice) -> list[Entry]: ...
    def __getitem__(self, item: Any) -> Any:
        return self._entries[item]

    def __len__(self) -> int:
        return len(self._entries)

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        """Notes the commit index; it is written along with the next thing that must be."""
        self._state.commit = raftCommitIndex

    def getRaftCommitIndex(self) -> int:
        """The commit index as last noted, at least 1 and within the log."""
        return max(1, min(self._state.commit, self._entries[-1][1])) if self._entries else 1

    def setCurrentTerm(self, term: int, votedForNodeId: int | None) -> None:
        """Notes term and vote."""
        self._state.term = term
        self._state.voted_for = f"{votedForNodeId:x}" if votedForNodeId is not None else ""
        self._state_changed = True

    def getCurrentTerm(self) -> int:
        """The term as last noted."""
        return self._state.term

    def getVotedForNodeId(self) -> int | None:
        """The vote as last noted."""
        return int(self._state.voted_for, 16) if self._state.voted_for else None

    def onOneSecondTimer(self) -> None:
        """Nothing is left for a timer: what must be durable is so at once."""

    def _destroy(self) -> None:
        self._wal.close()

    # -- ours --------------------------------------------------------------------------------------------------

    @property
    def dirty(self) -> bool:
        """Whether something has to reach the disk before anything rests on it."""
        return bool(self._unwritten or self._state_changed or self._cut_from or self._restart)

    def sync(self) -> bool:
        """Makes everything durable in one frame; whether there was anything to do. Raises OSError."""
        if not self.dirty:
            return False
        frame = Frame(restart=self._restart, cut_from=self._cut_from, state=self._state)
        for command, index, term in self._unwritten:
            frame.entries.add(index=index, term=term, command=command)
        self._wal.append(frame)
        self._unwritten.clear()
        self._cut_from = 0
        self._restart = False
        self._state_changed = False
        return True

    def bytes_since(self, index: int) -> int:
        """Bytes of commands behind entry `index`, as far as they are held; exact enough to decide by."""
        if not self._entries:
            return 0
        behind = self._entries[-1][1] - index
        return int(self.bytes_held * min(1.0, behind / len(self._entries)))

    def forget_files_before(self, index: int) -> None:
        """Removes the files that hold only entries below `index`. Raises OSError."""
        self._wal.remove_before(index)

    def rotate(self) -> None:
        """Begins a new file. Raises OSError."""
        self._wal.rotate()
