"""Mounting and unmounting, by system call: a subprocess for each would cost more than the mount."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_BIND = 0x1000
MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, path: Path) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(path))


def mount_tmpfs(target: Path, *, size_bytes: int = 0) -> None:
    """Mounts a file system in memory on an existing folder; size 0: half of the machine's memory.

    Raises:
        OSError: the kernel refuses.
    """
    options = f"size={size_bytes}" if size_bytes else ""
    _check(
        _libc().mount(b"tmpfs", os.fsencode(target), b"tmpfs", MS_NOSUID | MS_NODEV, options.encode()),
        target,
    )


def bind(source: str, target: Path) -> None:
    """Makes `source` visible at `target`, which exists and is of the same type.

    Raises:
        OSError: the kernel refuses.
    """
    _check(_libc().mount(source.encode(), os.fsencode(target), None, MS_BIND, None), target)


def unmount(target: Path) -> None:
    """Takes a mount away, also while it is in use; one that is not there is fine.

    Raises:
        OSError: the kernel refuses.
    """
    try:
        _check(_libc().umount2(os.fsencode(target), MNT_DETACH | UMOUNT_NOFOLLOW), target)
    except OSError as error:
        if error.errno not in (22, 2):
            raise


def is_mount(path: Path) -> bool:
    """Whether a folder is the root of a mounted file system of its own."""
    try:
        return path.stat().st_dev != path.parent.stat().st_dev
    except FileNotFoundError:
        return False


def below(folder: Path) -> list[Path]:
    """Mounts on and below a folder, deepest first."""
    prefix = f"{folder}/"
    found: list[Path] = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        target = line.split(" ", 5)[4].encode().decode("unicode_escape")
        if target == str(folder) or target.startswith(prefix):
            found.append(Path(target))
    return found[::-1]
