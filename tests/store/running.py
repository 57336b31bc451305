"""Stores in processes of their own."""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent

# Below what the kernel gives to outgoing connections: one of those could take a port before the store listens there.
_LOWEST, _COUNT = 12_000, 20_000
_ports = itertools.count(random.SystemRandom().randrange(_COUNT))


def free_port() -> int:
    """A port of the loopback that nobody listens on at the moment; each call gives another."""
    while True:
        port = _LOWEST + next(_ports) % _COUNT
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class StoreProcess:
    """`python -m store` with its data in `folder`."""

    def __init__(
        self,
        folder: Path,
        *flags: str,
        name: str = "default",
        port: int | None = None,
        address: str = "127.0.0.1",
        prefix: Sequence[str] = (),
    ) -> None:
        """`prefix` is put in front of the command: a program that runs it elsewhere, as the same process."""
        self.folder = folder
        self.name = name
        self.address = address
        self.prefix = prefix
        # Variables of the environment that each start gets.
        self.environment: dict[str, str] = {}
        self.port = port or free_port()
        self.flags = flags
        self.log = folder.parent / f"{folder.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def target(self) -> str:
        return f"{self.address}:{self.port}"

    def command(self) -> list[str]:
        """What is run."""
        urls = [] if "--listen-client-urls" in self.flags else ["--listen-client-urls", f"http://{self.target}"]
        names = ["--name", self.name, "--data-dir", str(self.folder)]
        return [sys.executable, "-m", "store", *names, *urls, *self.flags]

    def start(self, environment: dict[str, str] | None = None, *, file_kib_max: int | None = None) -> StoreProcess:
        """Starts it; with `file_kib_max`, no file can grow beyond that: for the store, a full disk."""
        whole = [*self.prefix, *self.command()]
        if file_kib_max is not None:
            whole = ["bash", "-c", f'ulimit -f {file_kib_max} && exec "$@"', "limited", *whole]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                whole,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **self.environment, **(environment or {})},
                start_new_session=True,
            )
        return self

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    @property
    def is_up(self) -> bool:
        """Whether the process is there, running or frozen."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def wait(self, timeout: float = 20) -> int:
        """Waits until the process ends by itself."""
        assert self.process is not None
        return self.process.wait(timeout)

    def output(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


def identity(**values: Any) -> Any:
    """An identity for a store inside the test."""
    from etcd.log_pb2 import Identity
    from etcd.rpc_pb2 import Member

    member = Member(ID=1, name="one", peerURLs=["http://127.0.0.1:2380"])
    return Identity(cluster_id=7, member_id=1, members=[member], name="one", first_revision=1, **values)
