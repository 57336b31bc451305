"""Clusters of three members to be measured side by side: ours, and Debian's etcd. Plain text, over the loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
from etcd.rpc_pb2 import StatusRequest, StatusResponse

from tests.store.running import ROOT, free_port

NAMES = ("a", "b", "c")


class Member:
    """One process of a cluster."""

    def __init__(self, name: str, folder: Path, client_port: int, peer_port: int, command: list[str]) -> None:
        self.name = name
        self.target = f"127.0.0.1:{client_port}"
        self.client_url = f"http://{self.target}"
        self.peer_url = f"http://127.0.0.1:{peer_port}"
        self.log = folder / f"{name}.log"
        self.command = [*command, "--name", name, "--data-dir", str(folder / name)]
        self.command += ["--listen-client-urls", self.client_url, "--listen-peer-urls", self.peer_url]
        self.command += ["--advertise-client-urls", self.client_url, "--initial-advertise-peer-urls", self.peer_url]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, initial: str) -> None:
        """Starts it, for the first time or again."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, "--initial-cluster", initial, "--initial-cluster-state", "new"],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'sdk'}"},
            )

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def memory_mb(self) -> float:
        """What it occupies (PSS)."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("the kernel does not say")


class Cluster:
    """Three members."""

    def __init__(self, kind: str, folder: Path, command: list[str]) -> None:
        self.kind = kind
        folder.mkdir()
        self.members = {name: Member(name, folder, free_port(), free_port(), command) for name in NAMES}
        self.initial = ",".join(f"{name}={member.peer_url}" for name, member in self.members.items())

    def start(self, *names: str) -> None:
        for name in names or NAMES:
            self.members[name].start(self.initial)

    def kill(self) -> None:
        for member in self.members.values():
            member.kill()

    def leader(self, timeout_s: float = 30) -> Member:
        """Waits until all members follow one of them, and returns that."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            answers = {name: self._status(member) for name, member in self.members.items()}
            leaders = {answer.leader if answer else 0 for answer in answers.values()}
            if len(leaders) == 1 and 0 not in leaders:
                for name, answer in answers.items():
                    if answer and answer.header.member_id == answer.leader:
                        return self.members[name]
            time.sleep(0.05)
        raise AssertionError(f"{self.kind} has no leader")

    @staticmethod
    def _status(member: Member) -> StatusResponse | None:
        with grpc.insecure_channel(member.target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary(
                "/etcdserverpb.Maintenance/Status",
                request_serializer=StatusRequest.SerializeToString,
                response_deserializer=StatusResponse.FromString,
            )
            try:
                answer: StatusResponse = call(StatusRequest(), timeout=1)
            except grpc.RpcError:
                return None
            return answer


@contextlib.contextmanager
def side_by_side(folder: Path) -> Iterator[tuple[Cluster, Cluster]]:
    """Our cluster and etcd's, both serving. The peer's is the second."""
    ours = Cluster("ours", folder / "ours", [sys.executable, "-m", "store", "--insecure", "--log-level", "warning"])
    program = shutil.which("etcd")
    assert program, "Debian's etcd-server is not installed"
    theirs = Cluster("etcd", folder / "etcd", [program, "--log-level", "error"])
    try:
        for cluster in (ours, theirs):
            cluster.start()
            cluster.leader()
        yield ours, theirs
    finally:
        ours.kill()
        theirs.kill()
