"""A wall clock of its own for a process, which can be set while it runs. Its monotonic clock stays the true one.

It comes with the package `libfaketime`.
"""

from __future__ import annotations

from pathlib import Path

from tests.store.running import StoreProcess

LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


class WallClock:
    """The wall clock of one store."""

    def __init__(self, process: StoreProcess) -> None:
        """Gives the clock to the process's next start."""
        assert Path(LIBRARY).exists(), "the package libfaketime is not installed"
        self._file = process.folder.parent / f"{process.folder.name}.clock"
        self.set(0)
        process.environment |= {
            "LD_PRELOAD": LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: int) -> None:
        """Within a second it shows the true time and so many seconds more."""
        unfinished = self._file.with_suffix(".clock-new")
        unfinished.write_text(f"{seconds:+d}\n")
        unfinished.rename(self._file)
