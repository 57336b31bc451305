"""A store and an apiserver in processes of their own, for clients that share no code with them."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from steersman.pki import key_pem, new_key

from tests.scheduler.control_plane import ControlPlane

BUILD = Path(__file__).parents[2] / "build"
PROTO = Path(__file__).parents[2] / "proto"


class Served(ControlPlane):
    """A control plane that also signs tokens, and says where its apiserver listens."""

    address = ""
    """host:port of the apiserver, on the loopback."""

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        if arguments[0] == "apiserver":
            key = self.folder / "sa.key"
            key.write_bytes(key_pem(new_key()))
            arguments = (*arguments, "--service-account-signing-key-file", str(key))
            self.address = arguments[arguments.index("--bind-address") + 1]
        return super().start(*arguments)


def declared_services() -> set[str]:
    """The full names of the services in proto/steersman, those of every component."""
    return {
        f"steersman.{path.parent.parent.name}.{path.parent.name}.{line.split()[1]}"
        for path in PROTO.glob("steersman/*/*/*.proto")
        for line in path.read_text().splitlines()
        if line.startswith("service ")
    }


async def run(*command: str, cwd: Path | None = None, **environment: str) -> tuple[int, str]:
    """Runs a program to its end; returns its exit code and all that it wrote."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(240):
            output, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """Shared by the tests of a file, which therefore name their objects differently."""
    made = Served(tmp_path_factory.mktemp("clients"))
    async with made:
        yield made
