"""What a store's Python loads before anything else, to make faults bite. The store itself knows nothing of it."""

from __future__ import annotations

import os
from pathlib import Path

# Log files so small that each life begins and removes many.
_SMALL_FILES = """\
from store.raft import wal
wal.SEGMENT_BYTES = 4 * 1024
"""
_NO_SYNC = """\
import os
os.fsync = os.fdatasync = lambda descriptor: None
"""


def environment(folder: Path, *, syncs: bool = True) -> dict[str, str]:
    """The variables for a store with small log files; without `syncs`, it only believes that it makes files durable."""
    place = folder / "preload"
    place.mkdir()
    # In this order: the store's modules keep what they find in `os` when they are loaded.
    (place / "sitecustomize.py").write_text(("" if syncs else _NO_SYNC) + _SMALL_FILES)
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH")]))}
