"""Several apiservers on one store: they agree on what there is, and a client goes on at another when one stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from steersman.client import Api, connect_to
from steersman.config import Context
from steersman.informer import Informer, Key
from steersman.pki import Authority
from steersman.service.tls import TLSFiles

from apiserver.bootstrap import Apiserver, Settings, node_channels
from apiserver.storage.memory import MemoryStorage
from tests.apiserver.objects import config_map
from tests.waiting import eventually


class Pair:
    """Two apiservers, and clients of one or both."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self._folder = folder
        self._authority = authority
        tls = TLSFiles(folder / "apiserver.crt", folder / "apiserver.key", folder / "ca.crt")
        settings = Settings(addresses=["localhost:0"], tls=tls)
        storage = MemoryStorage()
        self.servers = [Apiserver(settings, storage, node_channel=node_channels(tls)) for _ in range(2)]
        self.opened: list[Api] = []

    def client(self, *numbers: int) -> Api:
        certificate, key = self._authority.issue("admin", groups=["system:masters"], now=datetime.now(UTC))
        server = ",".join(f"localhost:{self.servers[number].ports[0]}" for number in numbers)
        context = Context("t", server, "", self._folder / "ca.crt", certificate, key)
        self.opened.append(connect_to(context))
        return self.opened[-1]


@pytest.fixture
async def pair(identities: tuple[Path, Authority]) -> AsyncIterator[Pair]:
    made = Pair(*identities)
    for server in made.servers:
        await server.start()
    try:
        for server in made.servers:
            await server.ready()
        yield made
    finally:
        for api in made.opened:
            await api.close()
        for server in made.servers:
            await server.stop(grace_s=0)


async def test_what_one_acknowledged_the_other_shows(pair: Pair) -> None:
    first, second = pair.client(0), pair.client(1)
    for turn in range(20):
        made = await first.configmaps.create(config_map(f"c{turn}"))
        seen = await asyncio.gather(*(second.configmaps.get(f"c{turn}") for _ in range(5)))
        assert {found.metadata.resource_version for found in seen} == {made.metadata.resource_version}
        assert len(await second.configmaps.list(namespace="default")) == turn + 1
        first, second = second, first


async def test_a_client_goes_on_at_another_when_one_stops(pair: Pair) -> None:
    both, second = pair.client(0, 1), pair.client(1)
    informer = Informer(both.configmaps, namespace="default")
    running = asyncio.create_task(informer.run())
    try:
        await both.configmaps.create(config_map("before"))
        await eventually(lambda: informer.get(Key("default", "before")))
        await pair.servers[0].stop(grace_s=0)
        await second.configmaps.create(config_map("behind"))
        await eventually(lambda: informer.get(Key("default", "behind")), 20)
        assert informer.get(Key("default", "before")) is not None
        assert (await both.configmaps.get("before")).metadata.name == "before"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
