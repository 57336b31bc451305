"""The log on the disk: what was synced is there, a torn end is cut, and other damage stops the start."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from etcd.log_pb2 import Frame, HardState, Identity, LogEntry

from store.directory import DataDirectory
from store.raft import wal as wals
from store.raft.files import DataCorrupt
from store.raft.frame import Piece, read
from store.raft.snapshot import SnapshotFile
from store.raft.wal import Recovered, WriteAheadLog

IDENTITY = Identity(cluster_id=1, member_id=2, name="one")


def new(folder: Path) -> WriteAheadLog:
    log = WriteAheadLog(folder / "wal")
    log.create(IDENTITY)
    return log


def entry(index: int, term: int = 1, command: bytes = b"command") -> LogEntry:
    return LogEntry(index=index, term=term, command=command)


def recovered(folder: Path) -> Recovered:
    log = WriteAheadLog(folder / "wal")
    try:
        return log.recover()
    finally:
        log.close()


def the_file(folder: Path) -> Path:
    return max((folder / "wal").glob("*.wal"))


def filled(folder: Path, count: int = 5) -> list[int]:
    """A log of `count` frames with one entry each; the size of the file after each."""
    log = new(folder)
    sizes = []
    for index in range(1, count + 1):
        log.append(Frame(entries=[entry(index)], state=HardState(term=index, voted_for="a")))
        sizes.append(the_file(folder).stat().st_size)
    log.close()
    return sizes


def test_what_was_appended_comes_back(tmp_path: Path) -> None:
    log = new(tmp_path)
    log.append(Frame(entries=[entry(1), entry(2)], state=HardState(term=3, voted_for="b", commit=1)))
    log.append(Frame(cut_from=2, entries=[entry(2, term=4, command=b"other")]))
    log.close()
    found = recovered(tmp_path)
    assert found.identity == IDENTITY
    assert found.entries == [(b"command", 1, 1), (b"other", 2, 4)]
    assert (found.state.term, found.state.voted_for, found.cut_bytes) == (3, "b", 0)


def test_a_restart_of_the_log_drops_what_was_before(tmp_path: Path) -> None:
    log = new(tmp_path)
    log.append(Frame(entries=[entry(1), entry(2)]))
    log.append(Frame(restart=True, entries=[entry(90), entry(91)]))
    log.close()
    assert [index for _, index, _ in recovered(tmp_path).entries] == [90, 91]


def test_the_log_can_be_cut_at_every_byte_of_its_last_frames(tmp_path: Path) -> None:
    sizes = filled(tmp_path)
    path = the_file(tmp_path)
    whole = path.read_bytes()
    for size in range(sizes[-4], sizes[-1]):
        path.write_bytes(whole[:size])
        found = recovered(tmp_path)
        kept = sum(end <= size for end in sizes)
        assert len(found.entries) == kept and found.cut_bytes == size - sizes[kept - 1]
        assert path.stat().st_size == sizes[kept - 1]
        assert found.state.term == kept
    log = WriteAheadLog(tmp_path / "wal")
    log.recover()
    log.append(Frame(entries=[entry(5)]))
    log.close()
    assert len(recovered(tmp_path).entries) == 5


def test_a_file_without_its_first_frame_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file gets its name when its first frame is durable; no crash makes one that is shorter."""
    monkeypatch.setattr(wals, "SEGMENT_BYTES", 300)
    filled(tmp_path, 20)
    path = the_file(tmp_path)
    whole = path.read_bytes()
    first = next(piece for piece in read(whole) if isinstance(piece, Piece))
    for size in range(first.end):
        path.write_bytes(whole[:size])
        with pytest.raises(DataCorrupt) as refused:
            recovered(tmp_path)
        assert refused.value.path == path
    path.write_bytes(whole[: first.end])
    assert recovered(tmp_path).identity == IDENTITY


def test_sectors_that_never_arrived_are_a_torn_write(tmp_path: Path) -> None:
    log = new(tmp_path)
    log.append(Frame(entries=[entry(1)]))
    size = the_file(tmp_path).stat().st_size
    log.append(Frame(entries=[entry(2, command=os.urandom(4000))]))
    log.close()
    path = the_file(tmp_path)
    data = bytearray(path.read_bytes())
    data[1024:2048] = bytes(1024)
    path.write_bytes(data)
    found = recovered(tmp_path)
    assert len(found.entries) == 1 and found.cut_bytes == len(data) - size


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """Also in the last frame: it was acknowledged, and a flipped bit does not look like a torn write."""
    sizes = filled(tmp_path, 3)
    path = the_file(tmp_path)
    whole = path.read_bytes()
    assert len(whole) == sizes[-1]
    for place in range(len(whole)):
        for bit in range(8):
            data = bytearray(whole)
            data[place] ^= 1 << bit
            path.write_bytes(data)
            with pytest.raises(DataCorrupt) as refused:
                recovered(tmp_path)
            assert refused.value.path == path
            assert refused.value.offset <= place
            assert str(path) in str(refused.value) and "steer store restore" in str(refused.value)


def test_a_missing_segment_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wals, "SEGMENT_BYTES", 300)
    filled(tmp_path, 20)
    segments = sorted((tmp_path / "wal").glob("*.wal"))
    assert len(segments) > 3
    segments[1].unlink()
    with pytest.raises(DataCorrupt, match="was expected"):
        recovered(tmp_path)


def test_a_torn_write_in_an_earlier_segment_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wals, "SEGMENT_BYTES", 300)
    filled(tmp_path, 20)
    first = min((tmp_path / "wal").glob("*.wal"))
    first.write_bytes(first.read_bytes()[:-3])
    with pytest.raises(DataCorrupt):
        recovered(tmp_path)


def test_old_segments_go_and_term_and_vote_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wals, "SEGMENT_BYTES", 300)
    log = new(tmp_path)
    log.append(Frame(state=HardState(term=9, voted_for="c")))
    for index in range(1, 40):
        log.append(Frame(entries=[entry(index)]))
    before = log.size()
    log.remove_before(30)
    assert log.size() < before
    log.close()
    found = recovered(tmp_path)
    assert found.entries[0][1] <= 30 and found.entries[-1][1] == 39
    assert (found.state.term, found.state.voted_for) == (9, "c")
    assert found.identity == IDENTITY


def test_an_unfinished_segment_is_as_if_it_never_was(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    (tmp_path / "wal" / "0000000000000002.wal-new").write_bytes(b"half")
    assert len(recovered(tmp_path).entries) == 2


def test_after_a_failed_sync_the_log_is_not_used_again(tmp_path: Path) -> None:
    """The system forgets what it could not write: trying again would report success for what is lost."""
    failing = False

    def sync(descriptor: int) -> None:
        if failing:
            raise OSError(errno.EIO, "the disk says no")
        os.fdatasync(descriptor)

    log = WriteAheadLog(tmp_path / "wal", sync)
    log.create(IDENTITY)
    log.append(Frame(entries=[entry(1)]))
    failing = True
    with pytest.raises(OSError, match="the disk says no"):
        log.append(Frame(entries=[entry(2)]))
    failing = False
    with pytest.raises(OSError, match="failed before"):
        log.append(Frame(entries=[entry(3)]))
    log.close()


class Steps:
    """What is done to the disk, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        monkeypatch.setattr(os, "fsync", self._noting("sync {}", os.fsync))
        monkeypatch.setattr(WriteAheadLog.__init__, "__defaults__", (self._noting("sync {}", os.fdatasync),))
        monkeypatch.setattr(os, "rename", self._noting("name {}", os.rename))

    def _noting(self, text: str, call: Any) -> Any:
        def noted(what: int | Path, *rest: Path) -> None:
            path = Path(f"/proc/self/fd/{what}").readlink() if isinstance(what, int) else Path(what)
            self.done.append(text.format(path.name))
            call(what, *rest)

        return noted


def test_everything_is_durable_before_anything_rests_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    directory = DataDirectory(tmp_path / "new" / "data")
    directory.create(IDENTITY)
    directory.close()
    file = "0000000000000001.wal-new"
    # The file, its name, and the folders up to one that was there before.
    assert steps.done[:4] == [f"sync {file}", f"name {file}", "sync wal", "sync member"]
    assert {"sync data", "sync new"} <= set(steps.done[4:])
    steps.done.clear()
    log = WriteAheadLog(tmp_path / "new" / "data" / "member" / "wal")
    log.recover()
    log.append(Frame(entries=[entry(1)]))
    assert steps.done == ["sync 0000000000000001.wal"]
    steps.done.clear()
    log.rotate()
    file = "0000000000000002.wal-new"
    assert steps.done == [f"sync {file}", f"name {file}", "sync wal"]
    log.close()
    steps.done.clear()
    SnapshotFile(tmp_path).write(iter([b"whole"]))
    assert steps.done == ["sync snapshot.new", "name snapshot.new", f"sync {tmp_path.name}"]
