"""A part of a volume for one mount, without letting a symbolic link in the volume lead out of it.

The volume is written to by the pod, so its links are not to be trusted, and they may change at any time. Paths are
therefore resolved by the kernel with the volume as root (openat2 with RESOLVE_IN_ROOT), and what was opened is bound to
a place that the pod cannot touch.
"""

from __future__ import annotations

import ctypes
import os
import stat
from pathlib import Path, PurePosixPath

from nodeagent.volumes import mounts

_SYS_OPENAT2 = 437
_RESOLVE_IN_ROOT = 0x10
_MODE = 0o750


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _open_inside(root: int, path: str) -> int:
    how = _OpenHow(os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(_SYS_OPENAT2, root, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return int(result)


def _open_or_make(root: int, parts: tuple[str, ...]) -> int:
    """Opens a path below `root`, making folders that are missing."""
    path = "."
    current = _open_inside(root, path)
    for part in parts:
        path = f"{path}/{part}"
        try:
            following = _open_inside(root, path)
        except FileNotFoundError:
            os.mkdir(part, _MODE, dir_fd=current)
            following = _open_inside(root, path)
        os.close(current)
        current = following
    return current


def bind(volume: Path, subpath: str, target: Path) -> Path:
    """Binds `subpath` of a volume to `target` and returns it; folders that are missing are made. Idempotent.

    Raises:
        OSError: the path cannot be opened or bound.
        ValueError: the path contains "..".
    """
    parts = tuple(part for part in PurePosixPath(subpath).parts if part not in ("/", "."))
    if ".." in parts:
        raise ValueError(f"subPath {subpath!r} must not contain '..'")
    root = os.open(volume, os.O_PATH | os.O_CLOEXEC)
    try:
        source = _open_or_make(root, parts)
        try:
            mounts.unmount(target)
            is_folder = stat.S_ISDIR(os.fstat(source).st_mode)
            target.parent.mkdir(mode=_MODE, parents=True, exist_ok=True)
            if is_folder:
                target.mkdir(mode=_MODE, exist_ok=True)
            else:
                target.touch(mode=0o640)
            mounts.bind(f"/proc/thread-self/fd/{source}", target)
        finally:
            os.close(source)
    finally:
        os.close(root)
    return target
