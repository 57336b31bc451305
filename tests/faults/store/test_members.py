"""Members killed, frozen, cut off, with wrong clocks, while clients write, read and watch: no promise is broken.

The seed of a life decides what befalls whom. STORE_FAULT_SEEDS sets how many lives, STORE_FAULT_FIRST_SEED where to
begin: `STORE_FAULT_FIRST_SEED=17 STORE_FAULT_SEEDS=1 ./dev test tests/faults/store/test_members.py` repeats one.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.store.wires import Wires
from tests.store.running import ROOT

SEEDS = int(os.environ.get("STORE_FAULT_SEEDS", "2"))
FIRST = int(os.environ.get("STORE_FAULT_FIRST_SEED", "1"))
LIFE_S = 200.0

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def lab() -> Iterator[Wires]:
    with Wires.new() as wires:
        yield wires


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_no_promise_is_broken(lab: Wires, tmp_path: Path, seed: int) -> None:
    command = lab.program("-m", "tests.faults.store.life", "--seed", str(seed), "--wires", lab.name)
    output = tmp_path / "life.log"
    try:
        with output.open("wb") as log:
            done = subprocess.run(
                [*command, "--folder", str(tmp_path)], cwd=ROOT, stdout=log, stderr=log, timeout=LIFE_S, check=False
            )
    finally:
        lab.end_processes()
    print(output.read_text())
    assert done.returncode == 0, f"seed {seed} (what happened is above; the members' logs are in {tmp_path})"
