"""Clusters of store processes that speak mutual TLS, over the loopback or from network namespaces of their own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from steersman.service.tls import channel_credentials

from tests.store.client import Client, Refused
from tests.store.pki import Authority
from tests.store.running import StoreProcess, free_port
from tests.waiting import eventually


@dataclass(frozen=True)
class Place:
    """Where a member runs: its address, and what runs a command there as the same process."""

    address: str = "127.0.0.1"
    prefix: Sequence[str] = ()


class TestCluster:
    """Members by name. `close` ends everything."""

    __test__ = False

    def __init__(
        self,
        folder: Path,
        names: str = "abc",
        flags: tuple[str, ...] = (),
        places: Mapping[str, Place] | None = None,
    ) -> None:
        self.folder = folder
        self._places = places or {}
        addresses = {Place().address, *(place.address for place in self._places.values())}
        self.authority = Authority(folder / "pki", addresses)
        self.peer_authority = Authority(folder / "peer-pki", addresses)
        self.peer_ports = {name: free_port() for name in names}
        self.flags = flags
        self.members: dict[str, StoreProcess] = {}
        self._clients: dict[str, Client] = {}
        self.client_files = self.authority.issue("client")
        for name in names:
            self.members[name] = self._process(name, self.initial(names), "new")

    def initial(self, names: str) -> str:
        return ",".join(f"{name}={self.peer_url(name)}" for name in names)

    def peer_url(self, name: str) -> str:
        return f"https://{self.place(name).address}:{self.peer_ports[name]}"

    def place(self, name: str) -> Place:
        return self._places.get(name, Place())

    def _process(self, name: str, initial: str, state: str) -> StoreProcess:
        port = free_port()
        place = self.place(name)
        certificate, key = self.authority.issue(name)
        peer_certificate, peer_key = self.peer_authority.issue(f"peer-{name}")
        return StoreProcess(
            self.folder / name,
            *("--listen-client-urls", f"https://{place.address}:{port}"),
            *("--cert-file", str(certificate), "--key-file", str(key)),
            *("--trusted-ca-file", str(self.authority.certificate), "--client-cert-auth"),
            *("--listen-peer-urls", self.peer_url(name)),
            *("--peer-cert-file", str(peer_certificate), "--peer-key-file", str(peer_key)),
            *("--peer-trusted-ca-file", str(self.peer_authority.certificate)),
            *("--initial-cluster", initial, "--initial-cluster-state", state),
            *self.flags,
            name=name,
            port=port,
            address=place.address,
            prefix=place.prefix,
        )

    def start(self, *names: str) -> None:
        for name in names or tuple(self.members):
            self.members[name].start()

    def joining(self, name: str, existing: str) -> StoreProcess:
        """A process for a member that was added to the members `existing`; not started."""
        self.members[name] = self._process(name, self.initial(existing + name), "existing")
        return self.members[name]

    def client(self, name: str) -> Client:
        if name not in self._clients:
            credentials = channel_credentials(self.authority.certificate, *self.client_files)
            self._clients[name] = Client(self.members[name].target, credentials)
        return self._clients[name]

    async def ids(self) -> dict[str, int]:
        """Member numbers by name, for those up."""
        found = {}
        for name, process in self.members.items():
            if process.process is not None and process.process.poll() is None:
                found[name] = (await self.client(name).status()).header.member_id
        return found

    async def leader(self) -> str:
        """Waits until all members that are up agree on a leader that is up."""

        async def agreed() -> str | None:
            seen = set()
            ids = {}
            for name, process in self.members.items():
                if process.process is None or process.process.poll() is not None:
                    continue
                try:
                    status = await self.client(name).status()
                except Refused:
                    return None
                ids[status.header.member_id] = name
                seen.add(status.leader)
            return ids.get(seen.pop()) if len(seen) == 1 else None

        return str(await eventually(agreed, 20))

    def endpoints(self) -> str:
        return ",".join(f"https://{process.target}" for process in self.members.values())

    def etcdctl(self, *arguments: str, endpoints: str | None = None, timeout: float = 30, check: bool = True) -> str:
        """Runs Debian's etcdctl and returns what it printed."""
        result = subprocess.run(
            self.etcdctl_command(*arguments, endpoints=endpoints),
            env={**os.environ, "ETCDCTL_API": "3"},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check:
            assert result.returncode == 0, f"etcdctl {' '.join(arguments)}: {result.stdout}{result.stderr}"
        return result.stdout + result.stderr

    def etcdctl_command(self, *arguments: str, endpoints: str | None = None) -> list[str]:
        certificate, key = self.client_files
        return [
            "etcdctl",
            f"--endpoints={endpoints or self.endpoints()}",
            f"--cacert={self.authority.certificate}",
            f"--cert={certificate}",
            f"--key={key}",
            *arguments,
        ]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        for process in self.members.values():
            process.kill()


async def refuses(client: Client) -> grpc.StatusCode:
    """The code with which the store refuses a status call."""
    try:
        await client.call("Maintenance", "Status", _status_request(), 3, patient=False)
    except Refused as refused:
        return refused.code
    return grpc.StatusCode.OK


def _status_request() -> object:
    from etcd.rpc_pb2 import StatusRequest

    return StatusRequest()
