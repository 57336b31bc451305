"""The public conformance suite for HTTP/2 (h2spec), built from the Go module proxy where Go is there."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from tests.sdk.http2.conftest import Served

H2SPEC = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"
CACHE = Path(__file__).parents[3] / "build" / H2SPEC.rpartition("/")[2]

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("go") is None, reason="needs Go to build h2spec"),
]


async def _run(*command: str, **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_every_case_of_h2spec_passes(served: Served) -> None:
    program = CACHE / "h2spec"
    if not program.exists():
        # The module cache stays writable, so that build/ can be removed like everything else in it.
        code, output = await _run(
            "go", "install", H2SPEC, GOBIN=str(CACHE), GOPATH=str(CACHE / "go"), GOFLAGS="-modcacherw"
        )
        assert code == 0, output
    code, output = await _run(str(program), "-h", "127.0.0.1", "-p", str(served.port), "--timeout", "5")
    assert code == 0, output
    assert " 0 skipped, 0 failed" in output
