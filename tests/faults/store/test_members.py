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

from tests.faults.store.copies import copy_broken
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


def live(lab: Wires, seed: int, folder: Path, root: Path = ROOT) -> tuple[bool, str]:
    """Whether all promises were kept in the life of this seed, and what it said."""
    command = lab.program("-m", "tests.faults.store.life", "--seed", str(seed), "--wires", lab.name)
    folder.mkdir(exist_ok=True)
    output = folder / "life.log"
    try:
        with output.open("wb") as log:
            done = subprocess.run(
                [*command, "--folder", str(folder)], cwd=root, stdout=log, stderr=log, timeout=LIFE_S, check=False
            )
    finally:
        lab.end_processes()
    print(output.read_text())
    return done.returncode == 0, output.read_text()


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_no_promise_is_broken(lab: Wires, tmp_path: Path, seed: int) -> None:
    kept, _ = live(lab, seed, tmp_path)
    assert kept, f"seed {seed} (what happened is above; the members' logs are in {tmp_path})"


@pytest.mark.long
@pytest.mark.parametrize(
    ("file", "code", "instead", "said"),
    [
        pytest.param(
            "raft/member.py",
            "        # Alone, everything acknowledged was applied here before it was acknowledged.\n",
            "        return\n",
            "what clients saw cannot have happened",
            id="reads that ask nobody",
        ),
        pytest.param(
            "watch/hub.py",
            "        shelves = [*self._by_key.values()",
            "        return\n        shelves = [*self._by_key.values()",
            "a watch told revision",
            id="watches that go on behind a snapshot as if nothing had happened",
        ),
    ],
)
def test_the_lives_notice_what_is_broken(
    lab: Wires, tmp_path: Path, file: str, code: str, instead: str, said: str
) -> None:
    copy_broken(tmp_path / "copy", file, code, instead)
    for seed in range(1, 21):
        kept, output = live(lab, seed, tmp_path / f"seed{seed}", tmp_path / "copy")
        if not kept:
            assert said in output
            return
    pytest.fail("20 lives noticed nothing")
