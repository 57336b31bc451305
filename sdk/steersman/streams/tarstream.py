"""The tar format as a stream: bytes in, entries and their content out; and the other way round. Pure.

Read are ustar, GNU's long names and POSIX's extended headers, which is what GNU, BSD and busybox write; sparse files in
GNU's old form are not.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace

BLOCK = tarfile.BLOCKSIZE
# Two empty blocks end an archive.
END = bytes(2 * BLOCK)
# Long names and extended headers are kept in memory while they are read.
HEADER_BYTES_MAX = 1024 * 1024

FILE, FOLDER, SYMLINK, HARDLINK, OTHER = "file", "folder", "symlink", "hardlink", "other"
_KINDS = {
    tarfile.REGTYPE: FILE,
    tarfile.AREGTYPE: FILE,
    tarfile.CONTTYPE: FILE,
    tarfile.DIRTYPE: FOLDER,
    tarfile.SYMTYPE: SYMLINK,
    tarfile.LNKTYPE: HARDLINK,
}
_TYPES = {FILE: tarfile.REGTYPE, FOLDER: tarfile.DIRTYPE, SYMLINK: tarfile.SYMTYPE, HARDLINK: tarfile.LNKTYPE}
_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK, _SPARSE = b"x", b"g", b"L", b"K", b"S"


class ArchiveError(ValueError):
    """The bytes are no archive, or only the beginning of one."""


@dataclass(frozen=True)
class Entry:
    """One file, folder or link of an archive.

    Attributes:
        name: its path; bytes that are no UTF-8 are escaped as the file system's names are.
        kind: FILE, FOLDER, SYMLINK, HARDLINK or OTHER.
        mode: permissions.
        mtime: when it was changed, seconds since 1970.
        size: bytes of content that follow.
        link: what a link points to.
    """

    name: str
    kind: str
    mode: int = 0o644
    mtime: float = 0.0
    size: int = 0
    link: str = ""


def header(entry: Entry) -> bytes:
    """The blocks that announce an entry; its owner is root, so that nobody's own number goes along."""
    info = tarfile.TarInfo(entry.name)
    info.type = _TYPES[entry.kind]
    info.mode, info.mtime, info.size, info.linkname = entry.mode, entry.mtime, entry.size, entry.link
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def padding(size: int) -> bytes:
    """What fills the last block of a content of so many bytes."""
    return bytes(-size % BLOCK)


class Reader:
    """Takes an archive apart as its bytes come."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._content = 0
        self._padding = 0
        self._collecting: bytes = b""
        self._extended: dict[str, str] = {}
        self._long: dict[bytes, str] = {}
        self._ended = False

    def feed(self, data: bytes) -> Iterator[Entry | bytes]:
        """Yields an entry as soon as it is announced, and then its content in pieces.

        Raises:
            ArchiveError: these bytes are no archive.
        """
        self._buffer += data
        while not self._ended:
            if self._content and not self._collecting:
                piece = bytes(self._buffer[: self._content])
                if not piece:
                    return
                del self._buffer[: len(piece)]
                self._content -= len(piece)
                yield piece
                continue
            if self._padding and not self._content:
                gone = min(self._padding, len(self._buffer))
                del self._buffer[:gone]
                self._padding -= gone
                if self._padding:
                    return
                continue
            if self._collecting:
                if len(self._buffer) < self._content:
                    return
                self._collected(bytes(self._buffer[: self._content]))
                del self._buffer[: self._content]
                self._content, self._collecting = 0, b""
                continue
            if len(self._buffer) < BLOCK:
                return
            block = bytes(self._buffer[:BLOCK])
            del self._buffer[:BLOCK]
            entry = self._entry(block)
            if entry is not None:
                yield entry

    def close(self) -> None:
        """Says that nothing more comes.

        Raises:
            ArchiveError: the archive is not at its end.
        """
        if not self._ended:
            raise ArchiveError("the archive breaks off")

    def _entry(self, block: bytes) -> Entry | None:
        if block == bytes(BLOCK):
            self._ended = True
            return None
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise ArchiveError(f"not a tar archive: {error}") from error
        if info.size < 0:
            raise ArchiveError(f"not a tar archive: {info.size} bytes")
        self._padding = -info.size % BLOCK
        if info.type in (_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK):
            if info.size > HEADER_BYTES_MAX:
                raise ArchiveError(f"a header of {info.size} bytes")
            self._content, self._collecting = info.size, info.type
            return None
        if info.type == _SPARSE:
            raise ArchiveError(f"{info.name!r} is sparse in GNU's old form, which is not read")
        return self._announced(info)

    def _announced(self, info: tarfile.TarInfo) -> Entry:
        kind = _KINDS.get(info.type, OTHER)
        entry = Entry(
            name=self._extended.get("path", self._long.get(_LONG_NAME, info.name)),
            kind=kind,
            mode=info.mode & 0o7777,
            mtime=_number(self._extended.get("mtime"), float(info.mtime)),
            size=int(_number(self._extended.get("size"), info.size)),
            link=self._extended.get("linkpath", self._long.get(_LONG_LINK, info.linkname)),
        )
        self._extended, self._long = {}, {}
        if kind == HARDLINK:
            # Some write the size of the file that is linked to, and no content.
            entry = replace(entry, size=0)
        if kind == FILE and entry.name.endswith("/"):
            # Before there was a type for folders, this was one.
            entry = replace(entry, kind=FOLDER, size=0)
        self._content, self._padding = entry.size, -entry.size % BLOCK
        return entry

    def _collected(self, data: bytes) -> None:
        if self._collecting in (_LONG_NAME, _LONG_LINK):
            self._long[self._collecting] = data.rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif self._collecting == _PAX:
            self._extended = _records(data)


def _number(text: str | None, otherwise: float) -> float:
    if text is None:
        return otherwise
    try:
        value = float(text)
    except ValueError as error:
        raise ArchiveError(f"{text!r} is not a number") from error
    if not 0 <= value < 2**63:
        raise ArchiveError(f"{text!r} is out of range")
    return value


def _records(data: bytes) -> dict[str, str]:
    """The records of an extended header: `LENGTH KEY=VALUE\\n`, where the length counts all of it."""
    found: dict[str, str] = {}
    while data:
        length, space, _ = data.partition(b" ")
        if not space or not length.isdigit() or not len(length) + 2 < int(length) <= len(data):
            raise ArchiveError("an extended header that cannot be read")
        record, data = data[len(length) + 1 : int(length) - 1], data[int(length) :]
        key, equals, value = record.partition(b"=")
        if not equals:
            raise ArchiveError("an extended header that cannot be read")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
    return found
