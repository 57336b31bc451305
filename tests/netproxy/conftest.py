"""Fixtures: a world of namespaces, an apiserver stand-in, and netproxies running in nodes of that world."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
from steersman.config import load
from steersman.netproxy.v1 import GetRulesRequest, RulesStatus, WaitSyncedRequest
from steersman.service.tls import channel_credentials

from tests.netproxy import world as worlds
from tests.netproxy.standin import StandIn
from tests.netproxy.world import Host, World

POD_NETWORK = "10.244.0.0/16"


@pytest.fixture
def world() -> Iterator[World]:
    with worlds.world() as made:
        yield made


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[StandIn]:
    folder = tmp_path / "api"
    folder.mkdir()
    async with StandIn(folder) as standin:
        yield standin


@pytest.fixture(params=["iptables-nft", "iptables-legacy"])
def iptables(request: pytest.FixtureRequest) -> str:
    if shutil.which(f"{request.param}-restore") is None:
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


class RunningProxy:
    """`python -m netproxy` in a node."""

    def __init__(self, host: Host, api: StandIn, folder: Path, iptables: str, *flags: str) -> None:
        self.host = host
        self.log = folder / f"{host.name}.log"
        self._socket = f"unix:{folder / host.name}.sock"
        self._context = load(api.config)
        self._arguments = [
            *[sys.executable, "-m", "netproxy", "--config", str(api.config), "--node-name", host.name],
            *["--cluster-cidr", POD_NETWORK, "--bind-address", self._socket, "--metrics-address", "127.0.0.1:10249"],
            *["--iptables-prefix", iptables, "--tls-cert-file", str(api.tls.certificate)],
            *["--tls-private-key-file", str(api.tls.key), "--client-ca-file", str(api.tls.authority), *flags],
        ]
        self.process: subprocess.Popen[str] | None = None
        self._channel: grpc.aio.Channel | None = None

    def start(self) -> None:
        self.process = self.host.start(self._arguments, pipes=False, log=self.log)

    def end(self, signum: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(signum)
        self.process.wait(timeout=10)

    async def _call(self, method: str, request: object, timeout_s: float) -> RulesStatus:
        if self._channel is None:
            credentials = channel_credentials(self._context.authority, self._context.certificate, self._context.key)
            options = [
                ("grpc.ssl_target_name_override", "apiserver"),
                ("grpc.initial_reconnect_backoff_ms", 50),
                ("grpc.max_reconnect_backoff_ms", 100),
            ]
            self._channel = grpc.aio.secure_channel(self._socket, credentials, options=options)
        call = self._channel.unary_unary(
            f"/steersman.netproxy.v1.Rules/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=RulesStatus.FromString,
        )
        try:
            answer: RulesStatus = await call(request, timeout=timeout_s, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            raise AssertionError(f"{error.details()}\n{self.log.read_text()}") from error
        return answer

    async def in_force(self, revision: str = "", *, generation: int = 1, timeout_s: float = 10) -> RulesStatus:
        """Waits until the kernel has what the stand-in had at a revision."""
        request = WaitSyncedRequest(service_revision=revision, endpoint_slice_revision=revision, generation=generation)
        return await self._call("WaitSynced", request, timeout_s)

    async def rules(self) -> RulesStatus:
        return await self._call("Get", GetRulesRequest(), 5)

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()
