"""The power of members' machines is cut in the middle of writes: every acknowledged write is there afterwards.

STORE_POWER_CUTS sets how many cuts, STORE_FAULT_FIRST_SEED the seed.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.uml.switch import Switch
from tests.store.running import ROOT

CUTS = int(os.environ.get("STORE_POWER_CUTS", "2"))
SEED = int(os.environ.get("STORE_FAULT_FIRST_SEED", "1"))

pytestmark = pytest.mark.root


@pytest.fixture
def switch() -> Iterator[Switch]:
    with Switch(3) as made:
        yield made


def cut(switch: Switch, folder: Path, members: str, cuts: int, *flags: str) -> tuple[int, int, int]:
    """Cuts, acknowledged writes and lost ones."""
    command = switch.program("-m", "tests.faults.store.power", "--seed", str(SEED), "--cuts", str(cuts))
    output = folder / "power.log"
    with output.open("wb") as log:
        done = subprocess.run(
            [*command, "--folder", str(folder), "--members", members, *flags],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            timeout=120 + 60 * cuts,
            check=False,
        )
    text = output.read_text()
    print(text)
    assert done.returncode == 0, f"seed {SEED} (the machines' consoles are in {folder})"
    (result,) = re.findall(r"^(\d+) cuts, (\d+) acknowledged, (\d+) lost$", text, re.MULTILINE)
    return int(result[0]), int(result[1]), int(result[2])


members = pytest.mark.parametrize("members", ["a", pytest.param("abc", marks=pytest.mark.long)])


@members
def test_every_acknowledged_write_survives_power_cuts(switch: Switch, tmp_path: Path, members: str) -> None:
    cuts, acknowledged, lost = cut(switch, tmp_path, members, CUTS)
    assert cuts == CUTS and acknowledged >= 50 * CUTS
    assert lost == 0


@members
def test_without_syncs_they_do_not_survive(switch: Switch, tmp_path: Path, members: str) -> None:
    """The test above would notice if a sync were left out."""
    _, acknowledged, lost = cut(switch, tmp_path, members, 10, "--syncs-do-nothing")
    assert 0 < lost <= acknowledged, "nothing was lost without syncs"
