"""Each guard is taken away in a copy of the store, and the tests that watch over it fail there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.store.copies import copy_broken
from tests.faults.store.guards import GUARDS, Guard
from tests.store.running import ROOT

TESTS_S = 250.0


def test_every_guard_is_where_it_is_said_to_be() -> None:
    moved = [
        f"store/{guard.file}: {guard.name}"
        for guard in GUARDS
        if (ROOT / "store" / guard.file).read_text().count(guard.code) != 1
    ]
    assert moved == []
    # All hazards of the table in store/README.md have one.
    assert {guard.hazard for guard in GUARDS} == {*map(str, range(1, 11)), "late"}


@pytest.mark.long
@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: f"{guard.hazard}: {guard.name}")
def test_its_tests_fail_without_it(guard: Guard, tmp_path: Path) -> None:
    copy_broken(tmp_path, guard.file, guard.code, guard.without)
    options = ["-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'tmp'}", "--tb=line"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *guard.tests],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TESTS_S,
        check=False,
    )
    print(done.stdout[-3000:], done.stderr[-1000:])
    assert done.returncode == 1, f"without {guard.name!r} its tests pass, or cannot be run"
    for test in guard.tests:
        assert re.search(rf"^(FAILED|ERROR) {re.escape(test)}", done.stdout, re.MULTILINE), f"{test} passes"
