"""The programs in the pages of the SDK that need nodes with containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.programs import Program, programs, run
from tests.e2e.world import World


@pytest.mark.parametrize("program", [p for p in programs("docs") if p.needs == "cluster"], ids=str)
def test_a_program_runs_and_prints_what_the_page_says(program: Program, cluster: World, tmp_path: Path) -> None:
    assert run(program, cluster.config, tmp_path) == program.output
