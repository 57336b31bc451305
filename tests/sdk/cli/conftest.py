"""`steer` as a person types it, against a real apiserver with the store in memory."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
import structlog
from click.testing import CliRunner
from steersman import config
from steersman.cli.main import main
from steersman.client import Api, connect_to
from steersman.core.v1 import Namespace, ServiceAccount
from steersman.pki import Authority, key_pem, new_key, write_identity
from steersman.service.tls import TLSFiles

from apiserver.bootstrap import Apiserver, Settings, TokenSettings, node_channels
from apiserver.storage.memory import MemoryStorage
from apiserver.strategy import ServiceRange

T = TypeVar("T")
_numbers = itertools.count(1)


@dataclass
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str


def _interruptible() -> None:
    """Where the tests run in a shell's background, signals of interruption are ignored, also by their children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Cluster:
    """An apiserver that runs in a thread of its own, and `steer` in this one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="apiserver", daemon=True)
        self.authority: Authority
        self._apiserver: Apiserver

    def start(self) -> None:
        folder, now = self.folder, datetime.now(UTC)
        self.authority = Authority.create("test", now=now)
        (folder / "ca.crt").write_bytes(self.authority.pem())
        (folder / "sa.key").write_bytes(key_pem(new_key()))
        names = ["localhost", "127.0.0.1"]
        write_identity(
            folder, "apiserver", self.authority, "kube-apiserver", groups=["system:masters"], hosts=names, now=now
        )
        tls = TLSFiles(folder / "apiserver.crt", folder / "apiserver.key", folder / "ca.crt")
        settings = Settings(
            addresses=["localhost:0"],
            tls=tls,
            ranges=ServiceRange("10.96.0.0/16", 30000, 30100),
            advertise_address="192.0.2.1",
            tokens=TokenSettings(signing_key=folder / "sa.key"),
        )
        self._thread.start()

        async def begin() -> Apiserver:
            made = Apiserver(settings, MemoryStorage(), node_channel=node_channels(tls))
            await made.start()
            await made.ready()
            return made

        self._apiserver = self.inside(begin())
        config.save(self.config, self.context("admin", "system:masters"))

    def stop(self) -> None:
        self.inside(self._apiserver.stop(grace_s=0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def inside(self, work: Any) -> Any:
        """Does something in the apiserver's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    @property
    def server(self) -> str:
        return f"localhost:{self._apiserver.ports[0]}"

    def context(self, user: str, *groups: str, name: str = "test", namespace: str = "default") -> config.Context:
        certificate, key = self.authority.issue(user, groups=groups, now=datetime.now(UTC))
        return config.Context(name, self.server, "", self.folder / "ca.crt", certificate, key, namespace=namespace)

    def do(self, work: Callable[[Api], Awaitable[T]]) -> T:
        """Talks to the apiserver as the administrator."""

        async def talk() -> T:
            async with connect_to(self.context("admin", "system:masters")) as api:
                return await work(api)

        return asyncio.run(talk())

    def create(self, *objects: Any) -> list[Any]:
        """Creates objects, with their status where they have one."""

        async def work(api: Api) -> list[Any]:
            made = []
            for obj in objects:
                client: Any = api.resource(type(obj))
                one = await client.create(obj)
                if "status" in obj.DESCRIPTOR.fields_by_name and obj.HasField("status"):
                    one.status.MergeFrom(obj.status)
                    one = await client.update_status(one)
                made.append(one)
            return made

        return self.do(work)

    def namespace(self) -> str:
        """A new namespace, in which pods can be made."""
        name = f"n{next(_numbers)}"
        namespace, account = Namespace(), ServiceAccount()
        namespace.metadata.name = name
        account.metadata.name, account.metadata.namespace = "default", name
        self.create(namespace, account)
        return name

    def run(self, *words: str, stdin: str | bytes = "") -> Done:
        """Runs `steer` in this process and says what came of it."""
        runner = CliRunner()
        code: Any = 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STEERCONFIG", str(self.config))
            with runner.isolation(input=stdin) as (out, err, _):
                try:
                    main(words)
                except SystemExit as ended:
                    code = ended.code
                sys.stdout.flush()
                sys.stderr.flush()
                return Done(int(code or 0), out.getvalue().decode(), err.getvalue().decode())

    def steer(self, *words: str, stdin: str | bytes = "") -> str:
        """Runs `steer`, which must succeed, and returns what it printed."""
        done = self.run(*words, stdin=stdin)
        assert done.code == 0, f"steer {' '.join(words)}: {done.code}\n{done.out}\n{done.err}"
        return done.out

    def json(self, *words: str) -> Any:
        return json.loads(self.steer(*words, "-o", "json"))

    def start_process(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """`steer` as a process of its own."""
        environment = {**os.environ, "STEERCONFIG": str(self.config), **options.pop("env", {})}
        return subprocess.Popen(
            [sys.executable, "-m", "steersman.cli.main", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_interruptible,
            **options,
        )


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all tests: each makes a namespace of its own."""
    # What the apiserver logs is not to stand among what `steer` prints.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))
    made = Cluster(tmp_path_factory.mktemp("cli"))
    made.start()
    try:
        yield made
    finally:
        made.stop()
        structlog.reset_defaults()


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.namespace()
