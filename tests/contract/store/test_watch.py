"""Watches: ordered, complete, without duplicates."""

from __future__ import annotations

import asyncio

from etcd import rpc_pb2 as pb
from etcd.kv_pb2 import Event

from tests.store.client import Client, delete_op, put_op
from tests.waiting import eventually


async def test_changes_arrive_in_order(client: Client) -> None:
    watch = await client.watch(b"a", b"b")
    await client.put(b"a1", b"1")
    await client.put(b"b1", b"not watched")
    await client.put(b"a2", b"2")
    await client.delete(b"a1")
    events = await watch.events(3)
    assert [(event.type, event.kv.key, event.kv.value) for event in events] == [
        (Event.PUT, b"a1", b"1"),
        (Event.PUT, b"a2", b"2"),
        (Event.DELETE, b"a1", b""),
    ]
    assert [event.kv.mod_revision for event in events] == sorted(event.kv.mod_revision for event in events)


async def test_a_watch_can_begin_in_the_past(client: Client) -> None:
    first = (await client.put(b"a", b"1")).header.revision
    await client.put(b"a", b"2")
    await client.delete(b"a")
    await client.put(b"a", b"3")
    watch = await client.watch(b"a", start_revision=first + 1, prev_kv=True)
    await client.put(b"a", b"4")
    events = await watch.events(4)
    assert [event.kv.value for event in events] == [b"2", b"", b"3", b"4"]
    assert [event.prev_kv.value for event in events] == [b"1", b"2", b"", b"3"]


async def test_a_watch_can_begin_in_the_future(client: Client) -> None:
    now = (await client.put(b"a", b"0")).header.revision
    watch = await client.watch(b"a", start_revision=now + 3)
    for number in range(4):
        await client.put(b"a", b"%d" % number)
    assert [event.kv.value for event in await watch.events(2)] == [b"2", b"3"]


async def test_all_of_a_revision_arrives_together(client: Client) -> None:
    watch = await client.watch(b"a", b"z")
    await client.txn([], [put_op(b"a"), put_op(b"b"), delete_op(b"c")])
    response = await watch.read()
    assert [event.kv.key for event in response.events] == [b"a", b"b"]
    assert len({event.kv.mod_revision for event in response.events}) == 1


async def test_filters(client: Client) -> None:
    watch = client.watch_stream()
    puts = (await watch.create(b"a", filters=[pb.WatchCreateRequest.NODELETE])).watch_id
    deletes = (await watch.create(b"a", filters=[pb.WatchCreateRequest.NOPUT])).watch_id
    await client.put(b"a", b"1")
    await client.delete(b"a")
    await client.put(b"a", b"2")
    await client.put(b"a", b"3")
    seen: dict[int, list[int]] = {puts: [], deletes: []}

    async def read() -> bool:
        response = await watch.read()
        seen[response.watch_id] += [event.type for event in response.events]
        return len(seen[puts]) == 3 and len(seen[deletes]) == 1

    await eventually(read)
    assert seen == {puts: [Event.PUT] * 3, deletes: [Event.DELETE]}


async def test_many_watches_share_a_stream(client: Client) -> None:
    watch = client.watch_stream()
    for number in range(50):
        assert (await watch.create(b"k%d/" % number, b"k%d0" % number)).watch_id == number
    for number in range(50):
        await client.put(b"k%d/x" % number)
    seen = set()
    while len(seen) < 50:
        response = await watch.read()
        assert [event.kv.key for event in response.events] == [b"k%d/x" % response.watch_id]
        seen.add(response.watch_id)


async def test_own_watch_numbers(client: Client) -> None:
    watch = client.watch_stream()
    assert (await watch.create(b"a", watch_id=7)).watch_id == 7
    refused = await watch.create(b"b", watch_id=7)
    assert (refused.watch_id, refused.created, refused.canceled) == (-1, True, True)
    assert "duplicate watch ID" in refused.cancel_reason


async def test_empty_interval_is_refused(client: Client) -> None:
    refused = await client.watch_stream().create(b"b", b"a")
    assert (refused.canceled, refused.cancel_reason) == (True, "mvcc: watcher range is empty")


async def test_cancel_ends_one_watch(client: Client) -> None:
    watch = client.watch_stream()
    first = (await watch.create(b"a")).watch_id
    second = (await watch.create(b"a")).watch_id
    await watch.send(cancel_request=pb.WatchCancelRequest(watch_id=first))
    canceled = await watch.read()
    assert (canceled.watch_id, canceled.canceled) == (first, True)
    await client.put(b"a", b"1")
    assert (await watch.read()).watch_id == second


async def test_compacted_history_ends_the_watch(client: Client) -> None:
    first = (await client.put(b"a", b"1")).header.revision
    for number in range(5):
        await client.put(b"a", b"%d" % number)
    await client.compact(first + 3, physical=True)
    watch = await client.watch(b"a", start_revision=first)
    canceled = await watch.read()
    assert (canceled.canceled, canceled.compact_revision) == (True, first + 3)
    watch = await client.watch(b"a", start_revision=first + 3)
    assert [event.kv.value for event in await watch.events(3)] == [b"2", b"3", b"4"]


async def test_a_watch_may_begin_at_a_compacted_deletion(client: Client) -> None:
    await client.put(b"a", b"1")
    deleted = (await client.delete(b"a")).header.revision
    await client.put(b"b", b"1")
    await client.compact(deleted, physical=True)
    watch = await client.watch(b"a", b"c", start_revision=deleted)
    assert [(event.type, event.kv.key) for event in await watch.events(2)] == [(Event.DELETE, b"a"), (Event.PUT, b"b")]


async def test_progress_on_request_names_the_newest_revision(client: Client) -> None:
    watch = await client.watch(b"a")
    revision = (await client.put(b"unrelated")).header.revision
    await watch.send(progress_request=pb.WatchProgressRequest())
    progress = await watch.read()
    assert (progress.watch_id, progress.header.revision, len(progress.events)) == (-1, revision, 0)


async def test_quiet_watches_hear_of_progress(client: Client) -> None:
    watch = await client.watch(b"a", progress_notify=True)
    revision = (await client.put(b"unrelated")).header.revision
    progress = await watch.read()
    while progress.header.revision < revision:
        progress = await watch.read()
    assert (progress.watch_id, len(progress.events)) == (0, 0)


async def test_fragments_add_up(client: Client) -> None:
    watch = await client.watch(b"a", b"b", fragment=True)
    value = b"x" * 400_000
    await client.txn([], [put_op(b"a%d" % number, value) for number in range(3)])
    responses = [await watch.read()]
    while responses[-1].fragment:
        responses.append(await watch.read())
    assert len(responses) > 1
    assert [event.kv.key for response in responses for event in response.events] == [b"a0", b"a1", b"a2"]


async def test_a_slow_watcher_misses_nothing(client: Client) -> None:
    """More waits for it than it may hold in memory, so it has to come back through the log."""
    watch = await client.watch(b"a")
    value = b"x" * 100_000
    for number in range(150):
        await client.put(b"a", b"%03d" % number + value)
    seen = [int(event.kv.value[:3]) for event in await watch.events(150)]
    assert seen == list(range(150))


async def test_watchers_that_come_and_go_see_every_revision_once(client: Client) -> None:
    async def write() -> None:
        for number in range(300):
            await client.put(b"a%d" % (number % 7), b"%d" % number)

    async def follow(start: int) -> list[int]:
        seen: list[int] = []
        following = start
        while len(seen) < 300:
            watch = await client.watch(b"a", b"b", start_revision=following)
            for _ in range(3):
                response = await watch.read()
                seen += [event.kv.mod_revision for event in response.events]
                following = seen[-1] + 1
                if len(seen) >= 300:
                    break
            watch.cancel()
        return seen

    start = (await client.range(b"a")).header.revision + 1
    results = await asyncio.gather(follow(start), follow(start), write())
    assert results[0] == results[1] == list(range(start, start + 300))
