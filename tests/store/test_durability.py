"""A member in a process of its own: what it acknowledged is there after every kind of end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.client import Client, Refused
from tests.store.running import StoreProcess
from tests.waiting import eventually


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreProcess]:
    process = StoreProcess(tmp_path / "data")
    try:
        yield process
    finally:
        process.kill()


async def writes_until_it_dies(client: Client, writer: int, acknowledged: dict[bytes, int], start: int) -> None:
    number = start
    while True:
        number += 1
        key = b"w%d" % writer
        try:
            await client.put(key, b"%d" % number, timeout=3, patient=False)
        except Refused:
            return
        acknowledged[key] = number


async def test_nothing_acknowledged_is_lost_to_kill_9(store: StoreProcess) -> None:
    acknowledged: dict[bytes, int] = {}
    moments = random.Random(20260101)
    revision = 0
    for _ in range(8):
        store.start()
        client = Client(store.target)
        try:
            response = await client.range(b"w", b"x")
            found = {kv.key: int(kv.value) for kv in response.kvs}
            for key, number in acknowledged.items():
                assert found.get(key, 0) >= number
            assert response.header.revision >= revision
            writers = [
                asyncio.create_task(writes_until_it_dies(client, writer, acknowledged, found.get(b"w%d" % writer, 0)))
                for writer in range(8)
            ]
            goal = sum(acknowledged.values()) + moments.randrange(50, 400)
            await eventually(lambda goal=goal: sum(acknowledged.values()) >= goal)
            revision = (await client.range(b"w", b"x")).header.revision
            store.kill()
            await asyncio.gather(*writers)
        finally:
            await client.close()
    assert len(acknowledged) == 8


async def test_a_graceful_stop_ends_with_success_and_keeps_everything(store: StoreProcess) -> None:
    store.start()
    client = Client(store.target)
    lease = (await client.grant(1000)).ID
    await client.put(b"a", b"1", lease=lease)
    watch = await client.watch(b"a")
    assert store.stop() == 0
    watch.cancel()
    store.start()
    assert await client.get(b"a") == b"1"
    assert (await client.time_to_live(lease)).TTL > 900
    await client.close()
    assert store.stop() == 0


async def test_a_damaged_log_refuses_to_start_and_says_where(store: StoreProcess) -> None:
    store.start()
    client = Client(store.target)
    for number in range(10):
        await client.put(b"a", b"%d" % number)
    await client.close()
    store.kill()
    (path,) = (store.folder / "member" / "wal").glob("*.wal")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    store.start()
    assert store.wait() == 1
    assert f"error: {path} is damaged at byte" in store.output()
    assert "Traceback" not in store.output()


async def test_one_directory_serves_one_process(store: StoreProcess) -> None:
    store.start()
    client = Client(store.target)
    await client.put(b"a")
    await client.close()
    other = StoreProcess(store.folder).start()
    assert other.wait() == 1
    assert "is in use by another process" in other.output()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--listen-client-urls", "https://127.0.0.1:1"], "needs --cert-file and --key-file"),
        (["--listen-client-urls", "http://10.0.0.1:1"], "is not encrypted"),
        (["--listen-client-urls", "nonsense"], "is not a url"),
        (["--insecure", "--initial-cluster", "default=http://127.0.0.1:1,b=http://127.0.0.1:2"], "even number"),
        (["--initial-cluster", "b=http://127.0.0.1:2"], "does not name 'default'"),
    ],
)
def test_settings_that_cannot_work_are_named(tmp_path: Path, flags: list[str], message: str) -> None:
    process = StoreProcess(tmp_path / "data", *flags).start()
    assert process.wait() == 1
    assert message in process.output()
    assert "Traceback" not in process.output()
