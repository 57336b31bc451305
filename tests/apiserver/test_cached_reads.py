"""Reads out of the watch cache are never older than what was acknowledged, also when the cache is behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from steersman import errors, kinds
from steersman.client import Api
from steersman.clock import RealClock
from steersman.core.v1 import ConfigMap
from steersman.meta.v1 import ListRequest

from apiserver.allocation import Allocator
from apiserver.registry import Registry, Surroundings
from apiserver.storage.memory import MemoryStorage
from apiserver.storage.port import Compacted, Nudge, StorageBatch, Stored
from apiserver.strategy import ServiceRange, Strategy
from apiserver.watchcache import cache as caching
from apiserver.watchcache.cache import Cache
from apiserver.watchcache.freshness import Freshness
from apiserver.watchcache.watcher import Entry, Selection
from tests.apiserver.conftest import Served
from tests.apiserver.objects import config_map
from tests.waiting import eventually

MAPS = "steersman.core.v1.ConfigMaps"


async def test_many_readers_see_every_write_at_once(api: Api, served: Served) -> None:
    await api.configmaps.create(config_map("a", turn="0"))
    store_reads = served.count_reads()
    for turn in range(1, 30):
        await api.configmaps.update(config_map("a", turn=str(turn)))
        seen = await asyncio.gather(*(api.configmaps.get("a") for _ in range(40)))
        assert {found.data["turn"] for found in seen} == {str(turn)}
    assert store_reads() < 29 * 40 / 2, "most were answered from the cache"
    await api.configmaps.delete("a")
    gone = await asyncio.gather(*(api.configmaps.get("a") for _ in range(40)), return_exceptions=True)
    assert {type(found) for found in gone} == {errors.NotFound}


async def test_a_list_sees_every_write_at_once(api: Api) -> None:
    for count in range(1, 60):
        await api.configmaps.create(config_map(f"c{count:02}", kind="even" if count % 2 == 0 else "odd"))
        assert len(await api.configmaps.list()) == count
    await api.configmaps.create(config_map("elsewhere", "kube-system"))
    names = [found.metadata.name for found in await api.configmaps.list(namespace="default")]
    assert names == sorted(names)
    assert len(names) == 59


async def test_a_state_as_new_as_a_revision_is_enough(api: Api) -> None:
    made = await api.configmaps.create(config_map("a"))
    client: Any = api.configmaps
    for version in ("0", made.metadata.resource_version):
        request = ListRequest(namespace="default", resource_version=version)
        page = await client._call("List", request, client.kind.list_message)
        assert [found.metadata.name for found in page.items] == ["a"]
    for version in ("new", "²"):
        with pytest.raises(errors.Invalid, match=f"'{version}' is not a revision"):
            await client._call("List", ListRequest(resource_version=version), client.kind.list_message)


class Lagging(MemoryStorage):
    """Its watches bring nothing while it is held, whatever they are asked."""

    def __init__(self) -> None:
        super().__init__(progress_s=0.01)
        self.flows = asyncio.Event()
        self.flows.set()
        self.exact = True
        self.refuses = False

    async def reports_exactly(self) -> bool:
        return self.exact

    async def watch(self, prefix: str, *, revision: int, nudge: Nudge | None = None) -> AsyncIterator[StorageBatch]:
        async for batch in super().watch(prefix, revision=revision, nudge=nudge):
            await self.flows.wait()
            if self.refuses:
                self.refuses = False
                raise Compacted(0)
            yield batch


@pytest.fixture
async def lagging() -> AsyncIterator[tuple[Lagging, Cache]]:
    storage = Lagging()

    def entry_of(stored: Stored) -> Entry:
        obj = ConfigMap.FromString(stored.value)
        return Entry(obj.metadata.namespace, obj.metadata.name, stored.value, stored.revision, {}, {})

    prefix = f"/registry/{kinds.of(ConfigMap).qualified_plural}/"
    cache = Cache(storage, prefix, entry_of=entry_of, freshness=Freshness(storage))
    running = asyncio.create_task(cache.run())
    await cache.ready()
    yield storage, cache
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_cache_that_is_behind_says_so(lagging: tuple[Lagging, Cache], monkeypatch: pytest.MonkeyPatch) -> None:
    storage, cache = lagging
    assert await cache.catch_up()
    storage.flows.clear()
    revision = await storage.create("/registry/configmaps/default/a", config_map("a").SerializeToString())
    monkeypatch.setattr(caching, "CATCH_UP_S", 0.05)
    assert not await cache.catch_up()
    storage.flows.set()
    monkeypatch.setattr(caching, "CATCH_UP_S", 10)
    await eventually(lambda: cache.revision >= revision)
    assert await cache.catch_up()
    assert cache.get("/registry/configmaps/default/a") is not None


async def test_a_cache_that_hangs_is_waited_for_once(lagging: tuple[Lagging, Cache]) -> None:
    storage, cache = lagging
    storage.flows.clear()
    revision = await storage.create("/registry/configmaps/default/a", config_map("a").SerializeToString())
    assert not await cache.catch_up()
    async with asyncio.timeout(caching.CATCH_UP_S * 3):
        for _ in range(10):
            assert not await cache.catch_up()
    storage.flows.set()
    await eventually(lambda: cache.revision >= revision)
    assert await cache.catch_up()


async def test_a_store_whose_reports_cannot_be_relied_on_is_read_itself(lagging: tuple[Lagging, Cache]) -> None:
    storage, _ = lagging
    storage.exact = False
    assert not await Freshness(storage).is_exact()


async def test_a_value_that_is_no_object_is_left_to_the_store(lagging: tuple[Lagging, Cache]) -> None:
    storage, cache = lagging
    revision = await storage.create("/registry/configmaps/default/b", b"\xff\xff")
    await eventually(lambda: cache.passed_over)
    await storage.update("/registry/configmaps/default/b", config_map("b").SerializeToString(), revision=revision)
    await eventually(lambda: not cache.passed_over)


def registry_on(storage: Lagging) -> Registry:
    """Config maps out of a store whose watches can be held."""
    around = Surroundings(
        storage=storage,
        clock=RealClock(),
        new_uid=str,
        new_suffix=str,
        allocator=Allocator(storage, ServiceRange(), random.Random(1)),
        freshness=Freshness(storage),
    )
    return Registry(kinds.of(ConfigMap), Strategy(), around)


async def test_a_cache_that_is_not_filled_has_no_state_however_old() -> None:
    storage = Lagging()
    await storage.create("/registry/configmaps/default/a", config_map("a").SerializeToString())
    registry = registry_on(storage)
    assert await registry.read_all(Selection(), since=0) is None
    running = asyncio.create_task(registry.cache.run())
    await registry.cache.ready()
    found = await registry.read_all(Selection(), since=0)
    assert found is not None
    assert [key for key, _ in found[0]] == ["/registry/configmaps/default/a"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_becomes_unreadable_while_a_read_waits_is_left_to_the_store() -> None:
    storage = Lagging()
    revision = await storage.create("/registry/configmaps/default/a", config_map("a").SerializeToString())
    registry = registry_on(storage)
    running = asyncio.create_task(registry.cache.run())
    await registry.cache.ready()
    storage.flows.clear()
    revision = await storage.update("/registry/configmaps/default/a", b"\xff\xff", revision=revision)
    newest = asyncio.create_task(registry.read_all(Selection(), since=None))
    old = asyncio.create_task(registry.read_all(Selection(), since=revision))
    await eventually(lambda: len(registry.cache._reaching) == 2)
    storage.flows.set()
    assert await newest is None
    assert await old is None
    assert await registry.read_all(Selection(), since=0) is None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_store_that_was_restored_is_read_itself_and_then_again(lagging: tuple[Lagging, Cache]) -> None:
    storage, cache = lagging
    key = "/registry/configmaps/default/a"
    backup = MemoryStorage()
    await backup.create(key, config_map("a", turn="kept").SerializeToString())
    revision = await storage.create(key, config_map("a", turn="kept").SerializeToString())
    for turn in range(5):
        revision = await storage.update(key, config_map("a", turn=str(turn)).SerializeToString(), revision=revision)
    await eventually(lambda: cache.revision == revision)
    storage._values, storage._history, storage._revision = backup._values, backup._history, backup._revision
    assert not await cache.catch_up()
    await eventually(lambda: cache.revision == backup._revision)
    assert await cache.catch_up()
    entry = cache.get(key)
    assert entry is not None
    assert ConfigMap.FromString(entry.data).data["turn"] == "kept"


async def test_what_was_unreadable_and_is_gone_is_forgotten(lagging: tuple[Lagging, Cache]) -> None:
    storage, cache = lagging
    revision = await storage.create("/registry/configmaps/default/b", b"\xff\xff")
    await eventually(lambda: cache.passed_over)
    storage.flows.clear()
    revision = await storage.delete("/registry/configmaps/default/b", revision=revision)
    # Its deletion is in no history any more, so that the cache has to read everything again.
    storage.refuses = True
    storage.flows.set()
    await eventually(lambda: cache.revision == revision)
    assert not cache.passed_over


async def test_questions_at_the_same_time_are_shared() -> None:
    class Counting(MemoryStorage):
        asked = 0

        async def revision(self) -> int:
            self.asked += 1
            await asyncio.sleep(0)
            return await super().revision()

    storage = Counting()
    freshness = Freshness(storage)
    first = await asyncio.gather(*(freshness.revision() for _ in range(100)))
    assert storage.asked <= 2
    written = await storage.create("/a", b"")
    assert written > max(first)
    assert await freshness.revision() >= written
