"""An apiserver in the test's own process, with real TLS and the store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from steersman.client import Api, connect_to
from steersman.config import Context
from steersman.pki import Authority, key_pem, new_key, write_identity
from steersman.service.tls import TLSFiles

from apiserver.bootstrap import Apiserver, Settings, TokenSettings, node_channels
from apiserver.storage.memory import MemoryStorage
from apiserver.strategy import ServiceRange


@dataclass
class Served:
    """A running apiserver and ways to connect to it."""

    apiserver: Apiserver
    storage: MemoryStorage
    folder: Path
    authority: Authority
    opened: list[Api] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_user(self, user: str, *groups: str) -> Api:
        """A client with a certificate for a user."""
        certificate, key = self.authority.issue(user, groups=groups, now=datetime.now(UTC))
        return self._connect(Context("t", f"localhost:{self.apiserver.ports[0]}", "", self.ca, certificate, key))

    def without_certificate(self, token: str = "") -> Api:
        """A client that proves nothing, or proves it by a token alone."""
        return self._connect(Context("t", f"localhost:{self.apiserver.ports[0]}", "", self.ca, token=token))

    def count_reads(self) -> Callable[[], int]:
        """Counts the store's reads of single keys from here on; call what it returns for the number."""
        count = 0
        read = self.storage.get

        async def counted(key: str) -> Any:
            nonlocal count
            count += 1
            # As with a store that is elsewhere, others go on meanwhile.
            await asyncio.sleep(0)
            return await read(key)

        self.storage.get = counted  # type: ignore[method-assign]
        return lambda: count

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    def _connect(self, context: Context) -> Api:
        api = connect_to(context, on_warning=self.warnings.append)
        api.patient = False
        self.opened.append(api)
        return api


@pytest.fixture(scope="session")
def identities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Authority]:
    folder: Path = tmp_path_factory.mktemp("pki")
    now = datetime.now(UTC)
    authority = Authority.create("test", now=now)
    (folder / "ca.crt").write_bytes(authority.pem())
    (folder / "sa.key").write_bytes(key_pem(new_key()))
    hosts = ["localhost", "127.0.0.1"]
    write_identity(folder, "apiserver", authority, "kube-apiserver", groups=["system:masters"], hosts=hosts, now=now)
    return folder, authority


@pytest.fixture
async def served(identities: tuple[Path, Authority]) -> AsyncIterator[Served]:
    folder, authority = identities
    tls = TLSFiles(folder / "apiserver.crt", folder / "apiserver.key", folder / "ca.crt")
    storage = MemoryStorage()
    settings = Settings(
        addresses=["localhost:0"],
        tls=tls,
        ranges=ServiceRange("10.96.0.0/24", 30000, 30005),
        advertise_address="192.0.2.1",
        tokens=TokenSettings(signing_key=folder / "sa.key"),
    )
    apiserver = Apiserver(settings, storage, node_channel=node_channels(tls))
    made = Served(apiserver, storage, folder, authority)
    await apiserver.start()
    try:
        await apiserver.ready()
        yield made
    finally:
        for api in made.opened:
            await api.close()
        await apiserver.stop(grace_s=0)


@pytest.fixture
def api(served: Served) -> Api:
    """The administrator's client."""
    return served.as_user("admin", "system:masters")
