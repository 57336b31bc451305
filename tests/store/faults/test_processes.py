"""Members that are killed, frozen and short of disk while clients write and read; what they saw was possible.

STORE_FAULT_SEEDS sets how many lives, STORE_FAULT_FIRST_SEED where to begin; a seed decides what is done to whom.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest
from etcd import rpc_pb2 as pb

from tests.store.client import Client, Refused
from tests.store.cluster import TestCluster
from tests.store.linearizability import FOREVER, Operation, is_linearizable
from tests.store.running import StoreProcess
from tests.waiting import eventually

SEEDS = int(os.environ.get("STORE_FAULT_SEEDS", "1"))
FIRST = int(os.environ.get("STORE_FAULT_FIRST_SEED", "1"))
TROUBLES = 5
KEYS = 3


class Life:
    """One cluster's life under trouble."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.cluster = TestCluster(folder)
        self.history: list[Operation] = []
        self.revisions: dict[int, tuple[bytes, bytes]] = {}
        self.over = False

    async def client(self, number: int) -> None:
        choices = random.Random(number)
        step = 0
        while not self.over:
            step += 1
            client = self.cluster.client(choices.choice("abc"))
            key = f"k{choices.randrange(KEYS)}"
            begun = time.monotonic()
            if choices.random() < 0.5:
                value = f"{number}-{step}"
                ended = FOREVER
                with contextlib.suppress(Refused):
                    response = await client.put(key.encode(), value.encode(), timeout=2, patient=False)
                    ended = time.monotonic()
                    revision = response.header.revision
                    assert revision not in self.revisions, "one revision for two writes"
                    self.revisions[revision] = (key.encode(), value.encode())
                self.history.append(Operation(key, True, value, begun, ended))
            else:
                with contextlib.suppress(Refused):
                    request = pb.RangeRequest(key=key.encode())
                    response = await client.call("KV", "Range", request, 2, patient=False)
                    found = response.kvs[0].value.decode() if response.kvs else None
                    self.history.append(Operation(key, False, found, begun, time.monotonic()))
            await asyncio.sleep(choices.random() * 0.01)

    async def trouble(self) -> None:
        members = self.cluster.members
        for _ in range(TROUBLES):
            seen = len(self.history)
            await eventually(lambda seen=seen: len(self.history) >= seen + 30, 30)
            kind = self.random.choice(["kill", "leader", "all", "freeze", "freeze leader"])
            some = self.random.choice(sorted(members))
            if "leader" in kind:
                some = await self.cluster.leader()
            victims = sorted(members) if kind == "all" else [some]
            number = signal.SIGSTOP if "freeze" in kind else signal.SIGKILL
            for name in victims:
                members[name].signal(number)
            seen = len(self.history)
            if kind != "all":
                await eventually(lambda seen=seen: len(self.history) >= seen + 20, 30)
            for name in victims:
                if number == signal.SIGSTOP:
                    members[name].signal(signal.SIGCONT)
                else:
                    members[name].kill()
                    members[name].start()
            await self.cluster.leader()

    async def check_watch(self) -> None:
        """A watch from the beginning tells every revision once, in order, and what was acknowledged at it."""
        for name in "abc":
            last = (await self.cluster.client(name).range(b"k")).header.revision
            watch = await self.cluster.client(name).watch(b"", b"\0", start_revision=1)
            told = await watch.events(last - 1)
            assert [event.kv.mod_revision for event in told] == list(range(2, last + 1))
            for event in told:
                expected = self.revisions.get(event.kv.mod_revision)
                assert expected in (None, (event.kv.key, event.kv.value))
            assert max(self.revisions) <= last

    async def run(self) -> None:
        try:
            self.cluster.start()
            await self.cluster.leader()
            clients = [asyncio.create_task(self.client(number)) for number in range(5)]
            try:
                await self.trouble()
            finally:
                self.over = True
                await asyncio.gather(*clients)
            await self.check_watch()
        finally:
            await self.cluster.close()
        assert len(self.history) > 100
        assert is_linearizable(self.history)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
async def test_nothing_is_lost_and_nothing_impossible_is_seen(tmp_path: Path, seed: int) -> None:
    await Life(tmp_path, seed).run()


async def test_a_full_disk_ends_the_member_and_loses_nothing(tmp_path: Path) -> None:
    process = StoreProcess(tmp_path / "data")
    try:
        process.start(file_kib_max=300)
        client = Client(process.target)
        acknowledged = 0
        with contextlib.suppress(Refused):
            for number in range(1000):
                await client.put(b"k%d" % number, b"x" * 1000, timeout=3)
                acknowledged = number + 1
        assert 100 < acknowledged < 1000
        assert process.wait() == 1
        assert "the member cannot go on" in process.output() and "File too large" in process.output()
        process.start()
        assert (await client.range(b"k", b"l", count_only=True)).count >= acknowledged
        await client.put(b"room", b"again")
        await client.close()
    finally:
        process.kill()
