"""A store and an apiserver in processes of their own, with mutual TLS, for tests of their clients."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from steersman import config, errors
from steersman.client import Api, connect
from steersman.config import Context
from steersman.core.v1 import Namespace
from steersman.pki import Authority, write_identity

ROOT = Path(__file__).resolve().parent.parent.parent


def free_port() -> int:
    """A port of the loopback that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ControlPlane:
    """Use it as an asynchronous context manager; the processes are gone afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = f"unix:{folder / 'api.sock'}"
        self._authority = Authority.create("test", now=datetime.now(UTC))
        self._processes: list[subprocess.Popen[bytes]] = []
        self._store_port = free_port()

    def identity(self, name: str, user: str, *groups: str) -> Path:
        """Issues an identity and returns the path of its client configuration."""
        hosts = ["localhost", "127.0.0.1", "apiserver", "store"]
        now = datetime.now(UTC)
        certificate, key = write_identity(self.folder, name, self._authority, user, groups=groups, hosts=hosts, now=now)
        authority = self.folder / "ca.crt"
        path = self.folder / f"{name}.config"
        config.save(
            path,
            Context(
                name="test",
                server=self.socket,
                server_name="apiserver",
                authority=authority,
                certificate=certificate,
                key=key,
            ),
        )
        return path

    def tls(self, name: str) -> list[str]:
        """The serving flags of an identity."""
        folder = self.folder
        return [
            *["--tls-cert-file", str(folder / f"{name}.crt"), "--tls-private-key-file", str(folder / f"{name}.key")],
            *["--client-ca-file", str(folder / "ca.crt")],
        ]

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts a service; what it writes goes to a file named after it."""
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments], stdout=log, stderr=log, cwd=ROOT, start_new_session=True
            )
        self._processes.append(process)
        return process

    async def __aenter__(self) -> ControlPlane:
        try:
            await self._begin()
        except BaseException:
            self.close()
            raise
        return self

    async def _begin(self) -> None:
        (self.folder / "ca.crt").write_bytes(self._authority.pem())
        self.identity("store", "store")
        self.identity("apiserver", "kube-apiserver", "system:masters")
        self.admin = self.identity("admin", "kubernetes-admin", "system:masters")
        url = f"https://127.0.0.1:{self._store_port}"
        folder = self.folder
        self.store = self.start(
            *["store", "--data-dir", str(folder / "data"), "--listen-client-urls", url, "--advertise-client-urls", url],
            *["--cert-file", str(folder / "store.crt"), "--key-file", str(folder / "store.key")],
            *["--trusted-ca-file", str(folder / "ca.crt"), "--client-cert-auth", "--listen-metrics-urls", ""],
        )
        self._apiserver = (
            *["apiserver", "--etcd-servers", url, "--etcd-cafile", str(folder / "ca.crt")],
            *["--etcd-certfile", str(folder / "apiserver.crt"), "--etcd-keyfile", str(folder / "apiserver.key")],
            *["--bind-address", f"127.0.0.1:{free_port()}", "--metrics-address", ""],
            *["--socket", str(folder / "api.sock"), *self.tls("apiserver")],
        )
        self.apiserver = self.start(*self._apiserver)
        async with self.connect() as api:
            await self._answers(api)

    def kill_apiserver(self) -> None:
        """SIGKILL, and a new one at once."""
        self.apiserver.kill()
        self.apiserver.wait()
        self._processes.remove(self.apiserver)
        self.apiserver = self.start(*self._apiserver)

    def connect(self, configuration: Path | None = None) -> Api:
        """A client; the administrator's unless another configuration is given."""
        return connect(configuration or self.admin)

    async def _answers(self, api: Api, timeout_s: float = 20) -> None:
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            try:
                if await api.resource(Namespace).get("default"):
                    return
            except errors.ApiError as error:
                ended = [process for process in self._processes if process.poll() is not None]
                if ended or asyncio.get_running_loop().time() > deadline:
                    logs = "\n".join(path.read_text()[-3000:] for path in self.folder.glob("*.log"))
                    raise AssertionError(f"no apiserver: {error}\n{logs}") from error
                await asyncio.sleep(0.05)

    def close(self) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in reversed(self._processes):
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)
