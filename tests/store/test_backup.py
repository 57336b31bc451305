"""Backups: consistent, checked, and the beginning of a new cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from store.commands import store as commands
from tests.store.client import Client
from tests.store.running import StoreProcess, free_port


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[list[StoreProcess]]:
    made = [StoreProcess(tmp_path / "old")]
    try:
        yield made
    finally:
        for process in made:
            process.kill()


async def steer_store(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, commands, list(arguments))


async def test_a_backup_becomes_a_new_cluster_ahead_in_time(processes: list[StoreProcess], tmp_path: Path) -> None:
    (old,) = processes
    old.start()
    client = Client(old.target)
    lease = (await client.grant(1000)).ID
    for number in range(20):
        await client.put(b"k%d" % (number % 5), b"%d" % number, lease=lease if number == 19 else 0)
    await client.delete(b"k0")
    file = tmp_path / "backup"
    assert (await steer_store("--endpoint", f"http://{old.target}", "snapshot", str(file))).exit_code == 0
    last = (await client.put(b"later", b"1")).header
    peers = {name: f"http://127.0.0.1:{free_port()}" for name in "abc"}
    cluster = ",".join(f"{name}={url}" for name, url in peers.items())
    for name, url in peers.items():
        made = await steer_store(
            "restore", str(file), "--data-dir", str(tmp_path / name), "--name", name, "--initial-cluster", cluster
        )
        assert made.exit_code == 0, made.output
        flags = ("--initial-cluster", cluster, "--listen-peer-urls", url, "--insecure")
        processes.append(StoreProcess(tmp_path / name, *flags, name=name).start())
    restored = Client(processes[1].target)
    response = await restored.range(b"k", b"l")
    assert {kv.key: kv.value for kv in response.kvs} == {b"k1": b"16", b"k2": b"17", b"k3": b"18", b"k4": b"19"}
    assert response.header.cluster_id != last.cluster_id
    assert response.header.revision > last.revision
    watch = await restored.watch(b"k", b"l", start_revision=last.revision)
    canceled = await watch.read()
    assert canceled.canceled and canceled.compact_revision > last.revision
    await restored.revoke(lease)
    assert (await restored.range(b"k", b"l")).count == 3
    assert len((await restored.members()).members) == 3
    await restored.close()
    await client.close()


async def test_a_damaged_backup_is_refused(processes: list[StoreProcess], tmp_path: Path) -> None:
    (old,) = processes
    old.start()
    client = Client(old.target)
    await client.put(b"a", b"1")
    await client.close()
    file = tmp_path / "backup"
    await steer_store("--endpoint", f"http://{old.target}", "snapshot", str(file))
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:512], b"", whole[:30] + bytes([whole[30] ^ 1]) + whole[31:]):
        file.write_bytes(damaged)
        result = await steer_store("restore", str(file), "--data-dir", str(tmp_path / "new"))
        assert result.exit_code != 0 and "SHA-256" in str(result.exception or result.output)
    file.write_bytes(whole)
    assert (await steer_store("restore", str(file), "--data-dir", str(tmp_path / "new"))).exit_code == 0
    again = await steer_store("restore", str(file), "--data-dir", str(tmp_path / "new"))
    assert "has a member in it already" in str(again.exception or again.output)


async def test_the_history_of_a_key(processes: list[StoreProcess]) -> None:
    (old,) = processes
    old.start()
    client = Client(old.target)
    first = (await client.put(b"a", b"one")).header.revision
    await client.put(b"b", b"other")
    await client.put(b"a", b"two")
    await client.delete(b"a")
    await client.put(b"a", b"three")
    lines = (await steer_store("--endpoint", f"http://{old.target}", "history", "a")).output.splitlines()
    assert [line.split("\t")[0] for line in lines] == [str(first + step) for step in (0, 2, 3, 4)]
    assert lines[2].endswith("deleted") and lines[3].endswith("three")
    await client.compact(first + 2)
    lines = (await steer_store("--endpoint", f"http://{old.target}", "history", "a")).output.splitlines()
    assert len(lines) == 3
    await client.close()


async def test_a_member_that_is_away_is_one_clear_line() -> None:
    result = await steer_store("--endpoint", "http://127.0.0.1:1", "history", "a")
    assert result.exit_code != 0
    assert "127.0.0.1:1" in str(result.exception or result.output)
