"""The store is told to forget, one interval behind."""

from __future__ import annotations

import asyncio

import pytest

from apiserver import compaction, errors
from apiserver.storage.memory import MemoryStorage
from apiserver.storage.port import Compacted
from tests.waiting import eventually


async def test_history_older_than_an_interval_goes_and_younger_stays() -> None:
    storage = MemoryStorage()
    ticks: asyncio.Queue[None] = asyncio.Queue()
    present = [0]

    async def sleep(_: float) -> None:
        await ticks.get()

    running = asyncio.create_task(compaction.run(storage, lambda: present[0], interval_s=300, sleep=sleep))
    revisions: list[int] = []
    for index in range(4):
        await asyncio.sleep(0)
        revisions.append(await storage.create(f"/a/{index}", b""))
        present[0] = revisions[-1]
        ticks.put_nowait(None)
        await eventually(ticks.empty)
        await asyncio.sleep(0)

    async def forgotten() -> bool:
        try:
            await storage.list("/a/", revision=revisions[0])
        except Compacted:
            return True
        return False

    await eventually(forgotten)
    assert len((await storage.list("/a/", revision=revisions[-1])).items) == 4
    running.cancel()


async def test_a_store_that_is_away_is_asked_again() -> None:
    asked: list[int] = []

    class Away(MemoryStorage):
        async def compact(self, revision: int) -> None:
            asked.append(revision)
            if len(asked) == 1:
                raise errors.StorageUnavailable("away")

    running = asyncio.create_task(compaction.run(Away(), lambda: 7, interval_s=0.001, sleep=asyncio.sleep))
    await eventually(lambda: len(asked) >= 3)
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
