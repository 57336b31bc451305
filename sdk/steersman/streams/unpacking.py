"""Putting the entries of an archive into a folder, whoever made the archive: nothing is written outside of it.

Every folder on the way to an entry is opened by its own, and none through a link. What is there under an entry's name
is removed first, so that nothing is written through a link, or into a file with a second name. A symbolic link is made
only when it points to something inside.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from steersman.streams import tarstream
from steersman.streams.tarstream import Entry

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class UnpackError(Exception):
    """An entry cannot be put where it belongs.

    Attributes:
        name: the entry.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name!r}: {reason}")
        self.name = name


def parts_of(name: str) -> tuple[str, ...]:
    """A path's names. Pure.

    Raises:
        UnpackError: it is absolute, or leads upwards.
    """
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise UnpackError(name, "leads out of the folder that is copied to")
    return parts


def stays_inside(link: str, depth: int) -> bool:
    """Whether what a symbolic link points to is inside. Pure.

    Args:
        link: what it points to.
        depth: how many folders below the top it stands in.
    """
    parts = [part for part in link.split("/") if part not in ("", ".")]
    leading = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    # Upwards after a name: the name may be a link itself, and then upwards of it is anywhere.
    return not link.startswith("/") and leading <= depth and ".." not in parts[leading:]


class Unpacker:
    """Makes files, folders and links in a folder. Use as a context manager."""

    def __init__(self, folder: Path, top: str, *, preserve: bool = True, warn: Callable[[str], None]) -> None:
        """Makes it.

        Args:
            folder: an existing folder.
            top: the name in it under which everything comes; entries are named from there on.
            preserve: whether to keep permissions and times.
            warn: told of entries that are left out.
        """
        self._root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._top = top
        self._preserve = preserve
        self._warn = warn
        self._file = -1
        self._entry: Entry | None = None
        self._folders: dict[tuple[str, ...], Entry] = {}
        self.files = self.bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        os.close(self._root)

    def begin(self, entry: Entry, parts: Sequence[str]) -> None:
        """Makes an entry; a file's content follows by `write`.

        Args:
            entry: the entry.
            parts: its path below the top; empty for the top itself.

        Raises:
            UnpackError: it cannot be made.
        """
        self.end()
        path = (self._top, *parts)
        try:
            match entry.kind:
                case tarstream.FOLDER:
                    self._make_folder(entry, path)
                case tarstream.FILE:
                    self._make_file(entry, path)
                case tarstream.SYMLINK if stays_inside(entry.link, len(parts) - 1):
                    self._make_symlink(entry, path)
                case tarstream.SYMLINK:
                    self._warn(f"{entry.name}: left out, a link to {entry.link}, which is outside")
                case tarstream.HARDLINK:
                    self._make_hardlink(entry, path)
                case _:
                    self._warn(f"{entry.name}: left out, neither file, folder nor link")
        except OSError as error:
            raise UnpackError(entry.name, _words(error)) from error

    def write(self, data: bytes) -> None:
        """Content of the file that was begun last; that of an entry that was left out goes nowhere.

        Raises:
            UnpackError: it cannot be written.
        """
        if self._file < 0 or self._entry is None:
            return
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            raise UnpackError(self._entry.name, _words(error)) from error
        self.bytes += len(data)

    def end(self) -> None:
        """Finishes the file that was begun last."""
        if self._file < 0 or self._entry is None:
            return
        if self._preserve:
            os.fchmod(self._file, self._entry.mode & 0o777)
            os.utime(self._file, (self._entry.mtime, self._entry.mtime))
        os.close(self._file)
        self._file, self._entry = -1, None
        self.files += 1

    def finish(self) -> None:
        """Finishes everything: only now are folders closed that may not be written to."""
        self.end()
        if not self._preserve:
            return
        for path, entry in sorted(self._folders.items(), reverse=True):
            descriptor = self._open(path)
            try:
                os.fchmod(descriptor, entry.mode & 0o777)
                os.utime(descriptor, (entry.mtime, entry.mtime))
            finally:
                os.close(descriptor)

    # --- kinds ------------------------------------------------------------------------------------------------------

    def _make_folder(self, entry: Entry, path: tuple[str, ...]) -> None:
        os.close(self._open(path, make=True))
        self._folders[path] = entry

    def _make_file(self, entry: Entry, path: tuple[str, ...]) -> None:
        parent = self._open(path[:-1], make=True)
        try:
            _clear(path[-1], parent)
            self._file = os.open(path[-1], _NEW_FILE, 0o600 if self._preserve else 0o666, dir_fd=parent)
        finally:
            os.close(parent)
        self._entry = entry

    def _make_symlink(self, entry: Entry, path: tuple[str, ...]) -> None:
        parent = self._open(path[:-1], make=True)
        try:
            _clear(path[-1], parent)
            os.symlink(entry.link, path[-1], dir_fd=parent)
        finally:
            os.close(parent)
        self.files += 1

    def _make_hardlink(self, entry: Entry, path: tuple[str, ...]) -> None:
        known = parts_of(entry.link)
        # Names in an archive begin with that of the top as it was there.
        target = (self._top, *known[len(parts_of(entry.name)) - len(path[1:]) :])
        parent = self._open(path[:-1], make=True)
        try:
            folder = self._open(target[:-1])
            try:
                if not stat.S_ISREG(os.lstat(target[-1], dir_fd=folder).st_mode):
                    raise UnpackError(entry.name, f"a second name of {entry.link!r}, which is no file")
                _clear(path[-1], parent)
                os.link(target[-1], path[-1], src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(folder)
        finally:
            os.close(parent)
        self.files += 1

    def _open(self, path: Sequence[str], *, make: bool = False) -> int:
        """A descriptor of a folder, reached through folders only."""
        current = os.dup(self._root)
        for name in path:
            try:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o777, dir_fd=current)
                inner = os.open(name, _FOLDER, dir_fd=current)
            finally:
                os.close(current)
            current = inner
        return current


def _clear(name: str, parent: int) -> None:
    """Makes room for a new file; a folder of that name stays, and is in the way."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return


def _words(error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return "there is a link or a file where a folder belongs; nothing is written through it"
    if error.errno == errno.EISDIR:
        return "there is a folder of this name"
    return error.strerror or str(error)
