"""Work queue, reconcile runtime and informer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from steersman import errors
from steersman.client import ADDED, BOOKMARK, DELETED, MODIFIED, WatchEvent
from steersman.core.v1 import ConfigMap
from steersman.informer import Informer, Key
from steersman.kinds import by_name
from steersman.reconcile import Controller, Result, TerminalError
from steersman.workqueue import WorkQueue

from tests.waiting import eventually


async def test_a_key_waits_once_and_is_worked_on_once_at_a_time() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for _ in range(3):
        queue.add("a")
    queue.add("b")
    assert await queue.get() == "a"
    queue.add("a")
    assert await queue.get() == "b"
    waiting = asyncio.create_task(queue.get())
    assert not (await asyncio.wait({waiting}, timeout=0.05))[0], "a is being worked on"
    queue.done("a")
    assert await waiting == "a"


async def test_the_earliest_of_several_delays_counts() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 60)
    queue.add_after("a", 0.01)
    queue.add_after("a", 60)
    assert await asyncio.wait_for(queue.get(), 5) == "a"
    assert len(queue) == 0


async def test_failures_wait_longer_each_time_until_one_succeeds() -> None:
    queue: WorkQueue[str] = WorkQueue(retry_base_s=0.1, retry_limit_s=1000)
    delays = [queue.retry("a") for _ in range(6)]
    assert all(later > earlier for earlier, later in pairwise(delays))
    queue.forget("a")
    assert queue.retry("a") <= 0.1


async def test_what_a_reconcile_says_decides_what_becomes_of_the_key() -> None:
    seen: list[str] = []
    outcomes: dict[str, list[Any]] = {
        "fails twice": [errors.Unavailable("away"), ValueError("bug"), None],
        "conflicts": [errors.Conflict("raced"), None],
        "comes back": [Result(requeue_after_s=0.01), None],
        "is hopeless": [TerminalError("no"), AssertionError("called again")],
    }

    async def reconcile(key: str) -> Result | None:
        seen.append(key)
        outcome = outcomes[key].pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        result: Result | None = outcome
        return result

    controller = Controller("test", reconcile, workers=2, queue=WorkQueue(retry_base_s=0.005))
    running = asyncio.create_task(controller.run())
    for key in outcomes:
        controller.enqueue(key)
    await eventually(lambda: len(seen) == 8)
    assert sorted(seen) == ["comes back"] * 2 + ["conflicts"] * 2 + ["fails twice"] * 3 + ["is hopeless"]
    running.cancel()


@pytest.mark.parametrize("garbage", [True, 5, Result, Result("soon"), Result(float("nan"))])  # type: ignore[arg-type]
async def test_a_reconcile_that_returns_what_is_no_result_has_failed(garbage: Any) -> None:
    calls: list[str] = []

    async def reconcile(key: str) -> Result | None:
        calls.append(key)
        answer: Result | None = garbage if calls.count(key) == 1 else None
        return answer

    controller = Controller("test", reconcile, workers=1, queue=WorkQueue(retry_base_s=0.005))
    running = asyncio.create_task(controller.run())
    controller.enqueue("a")
    await eventually(lambda: len(calls) == 2)
    controller.enqueue("b")
    await eventually(lambda: "b" in calls)
    running.cancel()


async def test_a_reconcile_whose_own_wait_is_given_up_is_tried_again() -> None:
    calls: list[str] = []

    async def reconcile(key: str) -> Result | None:
        calls.append(key)
        if len(calls) == 1:
            given_up = asyncio.get_running_loop().create_future()
            given_up.cancel()
            await given_up
        return None

    controller = Controller("test", reconcile, workers=1, queue=WorkQueue(retry_base_s=0.005))
    running = asyncio.create_task(controller.run())
    controller.enqueue("a")
    await eventually(lambda: len(calls) == 2)
    running.cancel()


async def test_what_was_half_done_when_work_stopped_is_begun_anew_when_it_goes_on() -> None:
    calls: list[str] = []

    async def reconcile(key: str) -> Result | None:
        calls.append(key)
        if len(calls) == 1:
            await asyncio.Event().wait()
        return None

    controller = Controller("test", reconcile, workers=2)
    first = asyncio.create_task(controller.run())
    controller.enqueue("a")
    await eventually(lambda: calls == ["a"])
    first.cancel()
    await asyncio.wait({first})
    second = asyncio.create_task(controller.run())
    await eventually(lambda: calls == ["a", "a"])
    second.cancel()


def obj(name: str, version: int) -> ConfigMap:
    made = ConfigMap()
    made.metadata.name, made.metadata.namespace, made.metadata.resource_version = name, "ns", str(version)
    made.data["v"] = str(version)
    return made


class Script:
    """A client whose watches play what a test wrote: events, or an error that ends the watch."""

    kind = by_name("configmaps")

    def __init__(self, *watches: list[Any]) -> None:
        self.watches = list(watches)
        self.resumed_from: list[str] = []

    async def watch(self, *, resource_version: str, **_: str) -> AsyncIterator[WatchEvent[ConfigMap]]:
        self.resumed_from.append(resource_version)
        for step in self.watches.pop(0) if self.watches else []:
            if isinstance(step, Exception):
                raise step
            yield step
        await asyncio.Event().wait()


def event(kind: int, name: str, version: int) -> WatchEvent[ConfigMap]:
    return WatchEvent(kind, obj(name, version), str(version), False)  # type: ignore[arg-type]


def mark(version: int, *, end: bool = False) -> WatchEvent[ConfigMap]:
    return WatchEvent(BOOKMARK, None, str(version), end)


@pytest.fixture
def followed() -> Any:
    tasks: list[asyncio.Task[None]] = []

    def follow(*watches: list[Any]) -> tuple[Informer[ConfigMap], list[tuple[str | None, str | None]], Script]:
        script = Script(*watches)
        informer: Informer[ConfigMap] = Informer(script)  # type: ignore[arg-type]
        changes: list[tuple[str | None, str | None]] = []

        def note(old: ConfigMap | None, new: ConfigMap | None) -> None:
            changes.append(tuple(o and f"{o.metadata.name}{o.data['v']}" for o in (old, new)))  # type: ignore[arg-type]

        informer.on_change(note)
        tasks.append(asyncio.create_task(informer.run()))
        return informer, changes, script

    yield follow
    for task in tasks:
        task.cancel()


async def test_an_informer_follows(followed: Any) -> None:
    informer, changes, _ = followed(
        [event(ADDED, "a", 1), event(ADDED, "b", 2), mark(5, end=True), event(MODIFIED, "a", 6), event(DELETED, "b", 7)]
    )
    await eventually(lambda: len(changes) == 4)
    assert changes == [(None, "a1"), (None, "b2"), ("a1", "a6"), ("b7", None)]
    assert informer.resource_version == "7"
    assert [found.data["v"] for found in informer.list()] == ["6"]


async def test_a_broken_watch_is_resumed_where_it_was(followed: Any) -> None:
    _, changes, script = followed(
        [event(ADDED, "a", 1), mark(5, end=True), mark(9), errors.Unavailable("cut")], [event(MODIFIED, "a", 10)]
    )
    await eventually(lambda: changes == [(None, "a1"), ("a1", "a10")])
    assert script.resumed_from == ["", "9"]


async def test_what_happened_while_it_could_not_look_is_worked_out(followed: Any) -> None:
    informer, changes, script = followed(
        [
            event(ADDED, "a", 1),
            event(ADDED, "b", 2),
            event(ADDED, "c", 3),
            mark(5, end=True),
            errors.Unavailable("cut"),
        ],
        [errors.Expired("gone")],
        [event(ADDED, "a", 1), event(ADDED, "b", 8), event(ADDED, "d", 9), mark(20, end=True)],
    )
    await eventually(lambda: informer.resource_version == "20")
    assert changes[3:] == [("b2", "b8"), (None, "d9"), ("c3", None)]
    assert script.resumed_from == ["", "5", ""]


async def test_a_full_read_that_breaks_in_the_middle_forgets_nothing(followed: Any) -> None:
    informer, changes, script = followed(
        [event(ADDED, "a", 1), event(ADDED, "b", 2), mark(5, end=True), errors.Expired("gone")],
        [event(ADDED, "b", 2), errors.Unavailable("cut")],
        [event(ADDED, "a", 1), event(ADDED, "b", 2), mark(6, end=True)],
    )
    await eventually(lambda: informer.resource_version == "6")
    assert changes == [(None, "a1"), (None, "b2")]
    assert script.resumed_from == ["", "", ""]


async def test_a_full_read_that_expires_in_the_middle_is_begun_anew(followed: Any) -> None:
    informer, changes, _ = followed([event(ADDED, "a", 1), errors.Expired("compacted")], [mark(9, end=True)])
    await eventually(lambda: informer.resource_version == "9")
    assert changes == [(None, "a1"), ("a1", None)]
    assert len(informer) == 0


async def test_a_watch_is_closed_when_a_handler_raises() -> None:
    closed = []

    class Watched(Script):
        async def watch(self, **_: str) -> AsyncIterator[WatchEvent[ConfigMap]]:
            try:
                yield event(ADDED, "a", 1)
            finally:
                closed.append(True)

    def wrong(_old: ConfigMap | None, _new: ConfigMap | None) -> None:
        raise KeyError("a bug")

    informer: Informer[ConfigMap] = Informer(Watched())  # type: ignore[arg-type]
    informer.on_change(wrong)
    with pytest.raises(KeyError):
        await informer.run()
    assert closed


async def test_indexes_follow_changes(followed: Any) -> None:
    informer, changes, _ = followed(
        [event(ADDED, "a", 1), mark(2, end=True), event(MODIFIED, "a", 3), event(DELETED, "a", 4)]
    )
    informer.add_index("v", lambda found: [found.data["v"]])
    seen: list[tuple[int, int]] = []
    informer.on_change(
        lambda old, new: seen.append((len(informer.by_index("v", "1")), len(informer.by_index("v", "3"))))
    )
    await eventually(lambda: len(changes) == 3)
    assert seen == [(1, 0), (0, 1), (0, 0)]
    assert informer.get(Key("ns", "a")) is None
