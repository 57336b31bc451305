"""The implementations of the apiserver's storage: in memory, on our store, on a real etcd."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from apiserver import errors
from apiserver.storage.etcd import EtcdStorage, open_channels
from apiserver.storage.memory import MemoryStorage
from tests.store.running import StoreProcess, free_port
from tests.waiting import eventually


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("etcd")
    client, peer = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    command = ["etcd", "--data-dir", str(folder / "data"), "--listen-client-urls", client]
    command += ["--advertise-client-urls", client, "--listen-peer-urls", peer]
    command += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield client
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process = StoreProcess(tmp_path_factory.mktemp("store") / "data").start()
    try:
        yield f"http://{process.target}"
    finally:
        process.kill()


@pytest.fixture(params=["memory", "store", "etcd"])
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """An implementation; each test gets keys of its own from `prefix`."""
    if request.param == "memory":
        yield MemoryStorage(progress_s=0.1)
        return
    # The first endpoint answers nobody: the storage moves on to the next.
    endpoints = [f"http://127.0.0.1:{free_port()}", request.getfixturevalue(request.param)]
    channels = open_channels(endpoints, authority=None, certificate=None, key=None)
    made = EtcdStorage(channels)

    async def answers() -> bool:
        try:
            await made.get("/none")
        except errors.StorageUnavailable:
            return False
        return True

    await eventually(answers, 20)
    yield made
    for channel in channels:
        await channel.close()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A prefix that no other test uses."""
    return f"/{request.node.originalname}/"
