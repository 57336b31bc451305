"""Copies of the store in which something is broken on purpose."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.store.running import ROOT


def copy_broken(folder: Path, file: str, code: str, instead: str) -> None:
    """Copies the store and its tests to a folder, with some code of store/`file` replaced.

    Programs that are started with the folder as their working folder use the copy.
    """
    skipped = shutil.ignore_patterns("__pycache__")
    for part in ("store", "tests/store", "tests/faults"):
        shutil.copytree(ROOT / part, folder / part, ignore=skipped)
    for part in ("pyproject.toml", "tests/waiting.py"):
        shutil.copy(ROOT / part, folder / part)
    path = folder / "store" / file
    text = path.read_text()
    assert text.count(code) == 1, f"{path} does not hold once: {code}"
    path.write_text(text.replace(code, instead))
