"""Writing files so that they are there, whole, after a power cut."""

from __future__ import annotations

import os
from pathlib import Path


class DataCorrupt(Exception):
    """A file of the data directory is damaged: not torn at its end by a crash, but changed.

    Attributes:
        path: the file.
        offset: where the damage begins, in bytes.
        reason: what is wrong there.
    """

    def __init__(self, path: Path, offset: int, reason: str) -> None:
        super().__init__(
            f"{path} is damaged at byte {offset}: {reason}. What this member acknowledged may be incomplete, so it "
            "does not start. In a cluster: remove the member and add it again with an empty data directory. "
            "Alone: restore a snapshot with `steer store restore`."
        )
        self.path = path
        self.offset = offset
        self.reason = reason


def sync_directory(path: Path) -> None:
    """Makes renames and removals in the directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all of `data`, however often the system takes only a part. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
