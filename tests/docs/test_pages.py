"""The programs in the pages of the SDK run and print what the pages say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.programs import REPOSITORY, Program, programs, run
from tests.plane import plane_in_thread

PROGRAMS = programs("docs/sdk")


@pytest.fixture(scope="module")
def configuration() -> Iterator[Path]:
    with plane_in_thread(nodes=["n1", "n2"]) as path:
        yield path


@pytest.mark.parametrize("program", [p for p in PROGRAMS if p.needs != "cluster"], ids=str)
def test_a_program_runs_and_prints_what_the_page_says(program: Program, configuration: Path, tmp_path: Path) -> None:
    printed = run(program, configuration, tmp_path)
    if program.output is not None:
        assert printed == program.output


def test_every_page_is_in_the_list_of_pages() -> None:
    index = (REPOSITORY / "docs/sdk/README.md").read_text()
    for page in (REPOSITORY / "docs/sdk").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


def test_links_between_pages_lead_somewhere() -> None:
    for page in (REPOSITORY / "docs").rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(REPOSITORY)} links to {target}"
