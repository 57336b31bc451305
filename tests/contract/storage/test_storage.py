"""What every storage of the apiserver does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apiserver.storage.port import Claim, Compacted, KeyChanged, KeyExists, Nudge, StorageEvent
from tests.waiting import eventually


async def test_what_is_created_can_be_read(storage: Any, prefix: str) -> None:
    assert await storage.get(f"{prefix}a") is None
    revision = await storage.create(f"{prefix}a", b"1")
    stored = await storage.get(f"{prefix}a")
    assert stored == (f"{prefix}a", b"1", revision)


async def test_a_key_is_created_once(storage: Any, prefix: str) -> None:
    await storage.create(f"{prefix}a", b"1")
    with pytest.raises(KeyExists) as caught:
        await storage.create(f"{prefix}a", b"2")
    assert caught.value.key == f"{prefix}a"
    assert (await storage.get(f"{prefix}a")).value == b"1"


async def test_an_update_needs_the_present_revision(storage: Any, prefix: str) -> None:
    first = await storage.create(f"{prefix}a", b"1")
    second = await storage.update(f"{prefix}a", b"2", revision=first)
    assert second > first
    with pytest.raises(KeyChanged) as caught:
        await storage.update(f"{prefix}a", b"3", revision=first)
    assert caught.value.current == (f"{prefix}a", b"2", second)
    with pytest.raises(KeyChanged) as caught:
        await storage.update(f"{prefix}b", b"3", revision=first)
    assert caught.value.current is None


async def test_a_deletion_needs_the_present_revision(storage: Any, prefix: str) -> None:
    first = await storage.create(f"{prefix}a", b"1")
    second = await storage.update(f"{prefix}a", b"2", revision=first)
    with pytest.raises(KeyChanged):
        await storage.delete(f"{prefix}a", revision=first)
    assert await storage.delete(f"{prefix}a", revision=second) > second
    assert await storage.get(f"{prefix}a") is None


async def test_claims_are_taken_with_the_write_or_the_write_is_not_done(storage: Any, prefix: str) -> None:
    taken, free = Claim(f"{prefix}ips/1", b"x"), Claim(f"{prefix}ips/2", b"x")
    revision = await storage.create(f"{prefix}o/a", b"1", claims=[taken])
    with pytest.raises(KeyExists) as caught:
        await storage.create(f"{prefix}o/b", b"1", claims=[free, taken])
    assert caught.value.key == taken.key
    assert await storage.get(f"{prefix}o/b") is None
    assert await storage.get(free.key) is None
    with pytest.raises(KeyExists):
        await storage.update(f"{prefix}o/a", b"2", revision=revision, claims=[taken])
    revision = await storage.update(f"{prefix}o/a", b"2", revision=revision, claims=[free], releases=[taken.key])
    assert await storage.get(taken.key) is None
    await storage.delete(f"{prefix}o/a", revision=revision, releases=[free.key])
    assert (await storage.list(f"{prefix}")).items == []


async def test_a_list_is_ordered_and_paged_as_of_one_revision(storage: Any, prefix: str) -> None:
    for name in ("c", "a", "e", "b", "d"):
        last = await storage.create(prefix + name, name.encode())
    page = await storage.list(prefix, limit=2)
    assert [item.key[-1] for item in page.items] == ["a", "b"]
    assert (page.more, page.revision >= last) == (True, True)
    await storage.delete(f"{prefix}d", revision=(await storage.get(f"{prefix}d")).revision)
    await storage.create(f"{prefix}f", b"f")
    rest = await storage.list(prefix, after=page.items[-1].key, limit=10, revision=page.revision)
    assert [item.key[-1] for item in rest.items] == ["c", "d", "e"]
    assert (rest.more, rest.revision) == (False, page.revision)
    assert [item.key[-1] for item in (await storage.list(prefix)).items] == ["a", "b", "c", "e", "f"]


async def test_a_prefix_does_not_reach_into_the_next(storage: Any, prefix: str) -> None:
    await storage.create(f"{prefix}a/1", b"")
    await storage.create(f"{prefix}ab/1", b"")
    assert [item.key for item in (await storage.list(f"{prefix}a/")).items] == [f"{prefix}a/1"]


async def collect(storage: Any, prefix: str, revision: int, count: int) -> list[StorageEvent]:
    events: list[StorageEvent] = []
    async with asyncio.timeout(10):
        async for batch in storage.watch(prefix, revision=revision):
            events += batch.events
            assert batch.revision >= max((e.revision for e in batch.events), default=0)
            if len(events) >= count:
                return events
    raise AssertionError("the watch ended")


async def test_a_watch_reports_every_change_in_order_with_what_was_before(storage: Any, prefix: str) -> None:
    first = await storage.create(f"{prefix}a", b"1")
    watching = asyncio.create_task(collect(storage, prefix, first, 3))
    second = await storage.update(f"{prefix}a", b"2", revision=first)
    third = await storage.create(f"{prefix}b", b"3")
    fourth = await storage.delete(f"{prefix}a", revision=second)
    await storage.create("/elsewhere" + prefix + "x", b"")
    assert await watching == [
        StorageEvent(f"{prefix}a", b"2", b"1", second),
        StorageEvent(f"{prefix}b", b"3", None, third),
        StorageEvent(f"{prefix}a", None, b"2", fourth),
    ]


async def test_a_watch_resumes_in_the_past_without_a_gap(storage: Any, prefix: str) -> None:
    revisions = [await storage.create(f"{prefix}{i:03}", b"") for i in range(50)]
    events = await collect(storage, prefix, revisions[9], 40)
    assert [event.revision for event in events] == revisions[10:]


async def test_an_idle_watch_hears_how_far_the_store_has_come(storage: Any, prefix: str) -> None:
    first = await storage.create(f"{prefix}a", b"1")
    last = await storage.create("/elsewhere" + prefix + "x", b"")

    async def progress() -> int:
        async for batch in storage.watch(prefix, revision=first):
            if batch.revision >= last:
                return int(batch.revision)
        raise AssertionError("the watch ended")

    assert await asyncio.wait_for(progress(), 10) >= last


async def test_a_watch_that_is_asked_says_at_once_how_far_it_is(storage: Any, prefix: str) -> None:
    first = await storage.create(f"{prefix}a", b"1")
    nudge = Nudge()
    heard: list[int] = []

    async def follow() -> None:
        async for batch in storage.watch(prefix, revision=first, nudge=nudge):
            heard.append(batch.revision)

    following = asyncio.create_task(follow())
    try:
        for number in range(5):
            await storage.create(f"/elsewhere{prefix}{number}", b"")
            newest = await storage.revision()

            def told(newest: int = newest) -> bool:
                # Asked again and again, since a watch that has only just begun does not hear the first time.
                nudge.ask()
                return bool(heard) and heard[-1] >= newest

            await eventually(told, 5)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_the_newest_revision_is_that_of_the_last_write(storage: Any, prefix: str) -> None:
    made = await storage.create(f"{prefix}a", b"1")
    assert await storage.revision() >= made
    made = await storage.update(f"{prefix}a", b"2", revision=made)
    assert await storage.revision() >= made
    assert isinstance(await storage.reports_exactly(), bool)


async def test_what_is_compacted_can_neither_be_listed_nor_watched(storage: Any, prefix: str) -> None:
    first = await storage.create(f"{prefix}a", b"1")
    second = await storage.update(f"{prefix}a", b"2", revision=first)
    third = await storage.update(f"{prefix}a", b"3", revision=second)
    for _ in range(2):
        await storage.compact(third)
    assert (await storage.get(f"{prefix}a")).value == b"3"
    with pytest.raises(Compacted):
        await storage.list(prefix, revision=first)
    with pytest.raises(Compacted):
        await collect(storage, prefix, first - 1, 1)
