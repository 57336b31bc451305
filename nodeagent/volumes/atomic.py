"""A folder of files that changes all at once.

    volume/..2026_11_20_05_00_00.123456/key     the files
    volume/..data -> ..2026_11_20_05_00_00.123456
    volume/key -> ..data/key                    what containers read

A change writes a new folder beside the old one and swaps `..data` by a rename, so that a reader sees either all of the
old or all of the new. The layout is Kubernetes', because programs watch `..data` for changes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from nodeagent.pod.volumes_spec import Payload

DATA = "..data"
_FRESH = "..data_tmp"


def _present(data: Path) -> dict[str, Payload]:
    found: dict[str, Payload] = {}
    if not data.is_dir():
        return found
    for folder, _, names in os.walk(data):
        for name in names:
            path = Path(folder, name)
            found[str(path.relative_to(data))] = Payload(path.read_bytes(), path.stat().st_mode & 0o7777)
    return found


def write(volume: Path, files: Mapping[str, Payload], now: datetime, *, group: int | None = None) -> bool:
    """Makes the folder have exactly these files; returns whether anything changed.

    Args:
        volume: the folder, which exists.
        files: contents by relative path.
        now: names the new version.
        group: gid that may read the files; None: root's.

    Raises:
        OSError: the disk refuses; what readers see is unchanged.
    """
    # A group that may read needs the bit for it, whatever the mode says.
    wanted = {
        path: Payload(each.content, each.mode | 0o440 if group is not None else each.mode)
        for path, each in files.items()
    }
    link = volume / DATA
    if link.is_symlink() and _present(link) == wanted:
        return False
    old = str(link.readlink()) if link.is_symlink() else ""
    version = f"..{now:%Y_%m_%d_%H_%M_%S}.{now.microsecond:06d}"
    while (volume / version).exists():
        version += "0"
    fresh = volume / version
    fresh.mkdir(mode=0o755)
    fresh.chmod(0o755)
    for name, payload in sorted(wanted.items()):
        path = fresh / name
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(payload.content)
            if group is not None:
                os.fchown(file.fileno(), -1, group)
            os.fchmod(file.fileno(), payload.mode)
    (volume / _FRESH).unlink(missing_ok=True)
    (volume / _FRESH).symlink_to(version)
    (volume / _FRESH).rename(link)
    tops = {name.split("/", 1)[0] for name in wanted}
    for top in tops:
        visible = volume / top
        if not visible.is_symlink():
            visible.symlink_to(f"{DATA}/{top}")
    for entry in volume.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()
    # Only ever a folder of this volume is removed, whatever somebody made the link point to.
    if old.startswith("..") and "/" not in old and old not in ("..", version):
        shutil.rmtree(volume / old, ignore_errors=True)
    return True
