"""A second client library, from PyPI, against the store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.store.running import StoreProcess
from tests.waiting import eventually_sync


def test_aetcd(tmp_path: Path) -> None:
    process = StoreProcess(tmp_path / "data").start()
    try:
        eventually_sync(lambda: "serving" in process.output(), 20)
        program = Path(__file__).with_name("second_client.py")
        result = subprocess.run(
            [sys.executable, str(program), str(process.port)], capture_output=True, text=True, timeout=60, check=False
        )
        assert result.stdout == "passed\n", result.stderr
    finally:
        process.kill()
