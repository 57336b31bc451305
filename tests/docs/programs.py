"""The programs in pages of documentation, and what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Program:
    """A program in a page.

    Attributes:
        page: the page, relative to the repository.
        line: where it begins.
        needs: what stands behind the language: "" for any control plane, "cluster", "pytest".
        text: the program.
        output: what it prints; None where the page does not say.
    """

    page: str
    line: int
    needs: str
    text: str
    output: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def programs(folder: str) -> list[Program]:
    """All programs of the pages below a folder, in order."""
    found = []
    for path in sorted((REPOSITORY / folder).rglob("*.md")):
        content = path.read_text()
        blocks = list(_BLOCK.finditer(content))
        for block, following in zip_longest(blocks, blocks[1:]):
            if block[1] != "python":
                continue
            output = following[3] if following is not None and following[1] == "text" else None
            line = content.count("\n", 0, block.start()) + 2
            found.append(Program(str(path.relative_to(REPOSITORY)), line, block[2].strip(), block[3], output))
    return found


def run(program: Program, configuration: Path, folder: Path) -> str:
    """Runs a program as its reader would, and returns what it printed."""
    file = folder / "test_page.py"
    file.write_text(program.text)
    words = [sys.executable, str(file)]
    if program.needs == "pytest":
        words = [sys.executable, "-m", "pytest", "-q", "-c", str(REPOSITORY / "pyproject.toml"), str(file)]
    environment = {**os.environ, "STEERCONFIG": str(configuration)}
    done = subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{program}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
