"""What a watch costs: nothing for changes of other keys, and bounded memory however slow the other side is."""

from __future__ import annotations

import pytest
from etcd.log_pb2 import Proposal
from etcd.rpc_pb2 import CompactionRequest, PutRequest

from store.errors import Compacted
from store.machine import StateMachine
from store.mvcc.interval import Interval, successor
from store.watch import watcher as watchers
from store.watch.hub import WatchHub
from store.watch.watcher import Watcher


class World:
    """A state machine, and a hub that hears of its changes."""

    def __init__(self) -> None:
        self.machine = StateMachine()
        self.hub = WatchHub()
        self.woken: list[Watcher] = []

    def put(self, key: bytes, value: bytes = b"") -> None:
        index = self.machine.applied + 1
        (outcome,) = self.machine.apply(index, 1, [Proposal(put=PutRequest(key=key, value=value))])
        self.hub.changed(outcome.revision, outcome.changes)

    def watch(self, key: bytes, end: bytes = b"", start: int | None = None) -> Watcher:
        revision = self.machine.keyspace.revision
        watcher = Watcher(
            len(self.hub),
            Interval(key, end),
            start or revision + 1,
            with_before=False,
            no_puts=False,
            no_deletes=False,
            wake=self.woken.append,
        )
        watcher.synced = watcher.next_revision > revision
        self.hub.add(watcher)
        return watcher

    def told(self, watcher: Watcher) -> int:
        return len(watcher.take(self.machine.keyspace))


def test_ten_thousand_watches_of_other_prefixes_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    watches = [world.watch(b"/w/%05d/" % number, successor(b"/w/%05d/" % number)) for number in range(10_000)]
    looked_at = 0
    original = Interval.__contains__

    def counting(self: Interval, key: bytes) -> bool:
        nonlocal looked_at
        looked_at += 1
        return original(self, key)

    monkeypatch.setattr(Interval, "__contains__", counting)
    world.put(b"/unrelated")
    assert (world.woken, looked_at) == ([], 0)
    world.put(b"/w/00042/x")
    assert (world.woken, looked_at) == ([watches[42]], 0)
    for watcher in watches:
        world.hub.remove(watcher)
    assert len(world.hub) == 0


@pytest.mark.parametrize(
    ("key", "end", "matches"),
    [
        (b"k", b"", [b"k"]),
        (b"k", b"l", [b"k", b"k1", b"kz"]),
        (b"k", b"k2", [b"k", b"k1"]),
        (b"k1", b"\x00", [b"k1", b"kz", b"l"]),
        (b"\x00", b"\x00", [b"a", b"k", b"k1", b"kz", b"l"]),
        (b"", b"\x00", [b"a", b"k", b"k1", b"kz", b"l"]),
    ],
)
def test_each_kind_of_interval_finds_its_changes(key: bytes, end: bytes, matches: list[bytes]) -> None:
    world = World()
    watcher = world.watch(key, end)
    found = []
    for name in (b"a", b"k", b"k1", b"kz", b"l"):
        world.put(name)
        if world.told(watcher):
            found.append(name)
    assert found == matches


def test_a_slow_watcher_holds_little_and_misses_nothing() -> None:
    world = World()
    watcher = world.watch(b"k")
    value = b"x" * 10_000
    for _ in range(1000):
        world.put(b"k", value)
        assert watcher._pending_bytes <= watchers.PENDING_BYTES_MAX
    told = 0
    while not (watcher.synced and not watcher._pending):
        told += world.told(watcher)
    assert told == 1000


def test_a_watcher_too_slow_for_compaction_is_ended_with_the_reason() -> None:
    world = World()
    watcher = world.watch(b"k")
    for _ in range(500):
        world.put(b"k", b"x" * 10_000)
    assert not watcher.synced
    revision = world.machine.keyspace.revision
    compaction = Proposal(compaction=CompactionRequest(revision=revision))
    assert world.machine.apply(world.machine.applied + 1, 1, [compaction])[0].error is None
    with pytest.raises(Compacted) as ended:
        watcher.take(world.machine.keyspace)
    assert ended.value.compact_revision == revision


def test_what_waited_in_memory_survives_compaction() -> None:
    world = World()
    watcher = world.watch(b"k")
    for _ in range(5):
        world.put(b"k")
    compaction = Proposal(compaction=CompactionRequest(revision=world.machine.keyspace.revision))
    world.machine.apply(world.machine.applied + 1, 1, [compaction])
    world.machine.keyspace.scrub(100)
    assert world.told(watcher) == 5
