"""Members of a group are bound when enough of them are ready, and none is when they are not."""

from __future__ import annotations

import asyncio

import pytest
from steersman.clock import RealClock

from scheduler.gangs import Crew, GangKey
from scheduler.musters import CrewError, Musters


def crew(quorum: int, *members: str, timeout_s: float = 20) -> Crew:
    return Crew(GangKey("default-scheduler", "default", "g"), 1, frozenset(members), quorum, timeout_s)


async def test_they_wait_for_each_other() -> None:
    musters, three = Musters(RealClock()), crew(3, "a", "b", "c")
    early = [asyncio.create_task(musters.ready(three, name)) for name in "ab"]
    done, _ = await asyncio.wait(early, timeout=0.05)
    assert not done
    await musters.ready(three, "c")
    await asyncio.gather(*early)


async def test_one_too_few_is_told_to_all() -> None:
    musters, three = Musters(RealClock()), crew(3, "a", "b", "c")
    early = [asyncio.create_task(musters.ready(three, name)) for name in "ab"]
    await asyncio.wait(early, timeout=0.01)
    musters.failed(three, "c")
    for answer in await asyncio.gather(*early, return_exceptions=True):
        assert isinstance(answer, CrewError)
        assert answer.reason == "too few pods of group default/g could be bound"


async def test_one_who_comes_after_the_failure_is_told_as_well() -> None:
    musters, two = Musters(RealClock()), crew(2, "a", "b")
    musters.failed(two, "a")
    with pytest.raises(CrewError):
        await musters.ready(two, "b")


async def test_those_beyond_the_quorum_may_fail() -> None:
    musters, two = Musters(RealClock()), crew(2, "a", "b", "c")
    musters.failed(two, "a")
    await asyncio.gather(musters.ready(two, "b"), musters.ready(two, "c"))


async def test_nobody_waits_for_ever() -> None:
    musters, two = Musters(RealClock()), crew(2, "a", "b", timeout_s=0.02)
    with pytest.raises(CrewError, match="1 pods of group default/g were not ready"):
        await musters.ready(two, "a")
    with pytest.raises(CrewError):
        await musters.ready(two, "b")
