"""The write-ahead log: append-only segments, made durable frame by frame.

One frame is one group commit: everything that became durable together, behind one checksum, so that a crash leaves
all of it or none. Term and vote are in the same log as the entries; each segment begins with whose it is and with the
term and vote at that point, so that older segments can go.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from etcd.log_pb2 import Frame, HardState, Identity
from google.protobuf.message import DecodeError

from store.raft.files import DataCorrupt, sync_directory, write_all
from store.raft.frame import Damage, pack, read

SEGMENT_BYTES = 16 * 1024 * 1024
SUFFIX = ".wal"
UNFINISHED = ".wal-new"

# One entry as PySyncObj keeps it: command, index, term.
Entry = tuple[bytes, int, int]


@dataclass
class Recovered:
    """What a log held when it was opened."""

    identity: Identity
    state: HardState
    entries: list[Entry] = field(default_factory=list)
    cut_bytes: int = 0


def replay(frame: Frame, recovered: Recovered) -> None:
    """What a frame does to what the frames before it made.

    Raises:
        ValueError: its entries do not follow on theirs.
    """
    entries = recovered.entries
    if frame.HasField("identity"):
        recovered.identity = frame.identity
    if frame.restart:
        entries.clear()
    if frame.cut_from and entries:
        del entries[max(0, frame.cut_from - entries[0][1]) :]
    for entry in frame.entries:
        if entries and entry.index != entries[-1][1] + 1:
            raise ValueError(f"entry {entry.index} follows entry {entries[-1][1]}, which cannot be")
        entries.append((entry.command, entry.index, entry.term))
    if frame.HasField("state"):
        recovered.state = frame.state


@dataclass
class _Segment:
    path: Path
    number: int
    last_index: int = 0


class WriteAheadLog:
    """Appends frames and makes them durable.

    After an OSError from `append` nothing is known of what reached the disk, and the log refuses further use: the
    process has to end and read what is there.
    """

    def __init__(self, folder: Path, sync: Callable[[int], None] = os.fdatasync) -> None:
        """Prepares the log in `folder`; `create` or `recover` comes next. `sync` makes a file durable."""
        self._folder = folder
        self._sync = sync
        self._segments: list[_Segment] = []
        self._descriptor = -1
        self._size = 0
        self._sequence = 0
        self._broken = False
        self.identity = Identity()
        self.state = HardState()
        self.bytes_written = 0
        self.syncs = 0

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether there is a log in `folder`."""
        return folder.is_dir() and any(folder.glob(f"*{SUFFIX}"))

    def create(self, identity: Identity) -> None:
        """Begins a new log."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.identity = identity
        self._open_segment(1)
        sync_directory(self._folder.parent)

    def recover(self) -> Recovered:
        """Reads the log, cuts a torn tail, and gets ready to append.

        Raises:
            DataCorrupt: something other than the very end is damaged.
            OSError: a file cannot be read.
        """
        for unfinished in self._folder.glob(f"*{UNFINISHED}"):
            unfinished.unlink()
        paths = sorted(self._folder.glob(f"*{SUFFIX}"))
        recovered = Recovered(Identity(), HardState())
        expected: int | None = None
        for place, path in enumerate(paths):
            segment = _Segment(path, int(path.stem, 16))
            self._segments.append(segment)
            is_last = place == len(paths) - 1
            data = path.read_bytes()
            end = 0
            for piece in read(data):
                if isinstance(piece, Damage):
                    if not (is_last and piece.torn):
                        raise DataCorrupt(path, piece.offset, piece.reason)
                    recovered.cut_bytes = len(data) - piece.offset
                    break
                if expected is not None and piece.sequence != expected:
                    raise DataCorrupt(path, piece.start, f"record {expected} was expected, {piece.sequence} is here")
                expected = piece.sequence + 1
                self._take(recovered, segment, piece.payload, piece.start)
                end = piece.end
            if not end:
                # No crash does that: a segment gets its name when its first frame is durable.
                raise DataCorrupt(path, 0, "the file's first record is not whole")
            if is_last:
                self._resume(segment, end, len(data))
        if expected is None or not recovered.identity.member_id:
            raise DataCorrupt(paths[0], 0, "the log does not say whose it is")
        self._sequence = expected
        self.identity = recovered.identity
        self.state.CopyFrom(recovered.state)
        return recovered

    def _take(self, recovered: Recovered, segment: _Segment, payload: bytes, offset: int) -> None:
        try:
            frame = Frame.FromString(payload)
        except DecodeError as error:
            raise DataCorrupt(segment.path, offset, "the record cannot be decoded") from error
        try:
            replay(frame, recovered)
        except ValueError as error:
            raise DataCorrupt(segment.path, offset, str(error)) from error
        if frame.entries:
            segment.last_index = max(segment.last_index, frame.entries[-1].index)

    def _resume(self, segment: _Segment, end: int, size: int) -> None:
        self._descriptor = os.open(segment.path, os.O_WRONLY | os.O_CLOEXEC)
        if end < size:
            os.ftruncate(self._descriptor, end)
            os.fsync(self._descriptor)
        os.lseek(self._descriptor, end, os.SEEK_SET)
        self._size = end

    def append(self, frame: Frame) -> None:
        """Writes the frame and returns when it is durable. Raises OSError, after which the log is unusable."""
        if self._broken:
            raise OSError("the log failed before; what is on the disk is not known")
        if self._size >= SEGMENT_BYTES:
            self.rotate()
        if frame.HasField("state"):
            self.state.CopyFrom(frame.state)
        if frame.entries:
            segment = self._segments[-1]
            segment.last_index = max(segment.last_index, frame.entries[-1].index)
        self._write(frame)

    def _write(self, frame: Frame) -> None:
        data = pack(self._sequence, frame.SerializeToString())
        try:
            write_all(self._descriptor, data)
            self._sync(self._descriptor)
        except OSError:
            self._broken = True
            raise
        self._sequence += 1
        self._size += len(data)
        self.bytes_written += len(data)
        self.syncs += 1

    def _open_segment(self, number: int) -> None:
        # A segment gets its name when its first frame is durable: one with the name is never empty.
        path = self._folder / f"{number:016x}{SUFFIX}"
        unfinished = path.with_suffix(UNFINISHED)
        self.close()
        self._descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._segments.append(_Segment(path, number))
        self._size = 0
        self._write(Frame(identity=self.identity, state=self.state))
        try:
            unfinished.rename(path)
            sync_directory(self._folder)
        except OSError:
            self._broken = True
            raise

    def rotate(self) -> None:
        """Begins a new segment, so that the ones before it can be removed."""
        self._open_segment(self._segments[-1].number + 1)

    def remove_before(self, index: int) -> None:
        """Removes the segments that hold only entries below `index`; the newest one always stays."""
        removed = False
        while len(self._segments) > 1 and self._segments[0].last_index < index:
            self._segments.pop(0).path.unlink()
            removed = True
        if removed:
            sync_directory(self._folder)

    def size(self) -> int:
        """Bytes on the disk."""
        return sum(segment.path.stat().st_size for segment in self._segments[:-1]) + self._size

    def close(self) -> None:
        """Closes the file; idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
