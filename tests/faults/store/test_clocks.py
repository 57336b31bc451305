"""Wall clocks that are wrong, differ, and jump: nothing in the store is decided by them."""

from __future__ import annotations

import ast
import itertools
import time
from pathlib import Path

from pysyncobj import syncobj

from tests.faults.store.wall_clock import WallClock
from tests.store.cluster import TestCluster
from tests.store.running import ROOT
from tests.waiting import eventually

HOUR_S = 3600


def test_no_module_of_the_store_asks_for_the_time_of_day() -> None:
    asked = []
    for path in sorted((ROOT / "store").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime"):
                asked.append(f"{path}:{node.lineno}: from {node.module}")
            elif isinstance(node, ast.Import) and any(name.name == "datetime" for name in node.names):
                asked.append(f"{path}:{node.lineno}: datetime")
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "time":
                asked += [f"{path}:{node.lineno}: time.{node.attr}"] * (node.attr != "monotonic")
    assert asked == []


def test_pysyncobj_asks_a_clock_that_nobody_can_set() -> None:
    before = time.clock_gettime(time.CLOCK_MONOTONIC_RAW)
    assert before <= syncobj.monotonicTime() <= time.clock_gettime(time.CLOCK_MONOTONIC_RAW)


async def test_leases_and_leadership_do_not_notice_a_jump(tmp_path: Path) -> None:
    # So patient that a busy machine does not look like a leader that is gone.
    cluster = TestCluster(tmp_path, flags=("--election-timeout", "2000"))
    clocks = {name: WallClock(process) for name, process in cluster.members.items()}
    try:
        cluster.start()
        leader = await cluster.leader()
        client = cluster.client(leader)
        term = (await client.status()).raftTerm
        granted = time.monotonic()
        long, short = (await client.grant(300)).ID, (await client.grant(3)).ID
        await client.put(b"long", b"1", lease=long)
        await client.put(b"short", b"1", lease=short)
        jumps = itertools.cycle([48 * HOUR_S, -48 * HOUR_S, 7 * 24 * HOUR_S, 0])

        async def expired() -> bool:
            for name, clock in clocks.items():
                clock.set(next(jumps))
                await cluster.client(name).put(b"k", name.encode())
            return await client.get(b"short") is None

        await eventually(expired, 20)
        assert time.monotonic() - granted >= 3
        assert await client.get(b"long") == b"1"
        assert 200 < (await client.time_to_live(long)).TTL <= 300
        assert (await client.status()).raftTerm == term
        assert await cluster.leader() == leader
    finally:
        await cluster.close()


async def test_a_member_can_be_told_another_time(tmp_path: Path) -> None:
    """The jumps of this suite reach the stores: their logs show them."""
    cluster = TestCluster(tmp_path, "a", ("--log-format", "json"))
    clock = WallClock(cluster.members["a"])
    clock.set(400 * 24 * HOUR_S)
    try:
        cluster.start()
        year = time.gmtime(time.time() + 400 * 24 * HOUR_S).tm_year
        await eventually(lambda: f'"timestamp": "{year}-' in cluster.members["a"].output(), 20)
    finally:
        await cluster.close()
