"""The store's services over each of its proposers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store.bootstrap import Store, open_store
from store.front import Front
from store.machine import StateMachine
from store.members import Members
from store.raft.memory import MemoryProposer
from store.replica import Replica
from store.rpc.maintenance import Upkeep
from store.settings import Settings
from tests.store.client import Client
from tests.store.running import identity


def settings(folder: Path, quota: int = 2**31) -> Settings:
    peers = ("http://127.0.0.1:2380",)
    return Settings(
        name="one",
        data_dir=folder,
        client_urls=("http://127.0.0.1:0",),
        advertise_client_urls=("http://127.0.0.1:2379",),
        peer_urls=peers,
        advertise_peer_urls=peers,
        initial_cluster={"one": peers},
        progress_interval_s=0.2,
        quota_bytes=quota,
    )


async def no_defragment() -> None:
    """Nothing in memory needs it."""


async def no_export() -> Path:
    raise OSError("memory has no file")


@pytest.fixture
def quota() -> int:
    """The quota of the store under test; a module may have its own."""
    return 2**31


@pytest.fixture(params=["memory", "pysyncobj"])
async def client(request: pytest.FixtureRequest, tmp_path: Path, quota: int) -> AsyncIterator[Client]:
    """A client of a fresh store."""
    running: Front | Store
    if request.param == "memory":
        whose = identity()
        replica = Replica(StateMachine(Members(whose.members)))
        running = Front(
            settings(tmp_path, quota),
            whose,
            replica,
            MemoryProposer(replica, whose.member_id),
            history=asyncio.Lock(),
            upkeep=Upkeep(disk_bytes=lambda: 0, defragment=no_defragment, export=no_export),
        )
        port = running.server.listen("127.0.0.1:0", None)
        await running.start()
    else:
        running = await open_store(settings(tmp_path, quota))
        await running.start()
        port = running.client_ports[0]
    made = Client(f"127.0.0.1:{port}")
    try:
        yield made
    finally:
        await made.close()
        await running.stop()
