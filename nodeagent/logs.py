"""Reading container logs in CRI's form: "<time> <stream> <P|F> <text>", one entry a line, P for a part of a line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

CHUNK_BYTES = 64 * 1024
POLL_S = 0.1


@dataclass(frozen=True)
class LogQuery:
    """What a reader of a log wants.

    Attributes:
        follow: go on with what is written later, until the container has ended.
        tail_lines: only so many lines at the end; None: all.
        since: only what was written from this moment on; None: all.
        timestamps: begin each line with when it was written.
        limit_bytes: stop after so many bytes; None: never.
    """

    follow: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None


@dataclass(frozen=True)
class Entry:
    """One entry of a log.

    Attributes:
        time: when it was written, as text.
        full: whether the line ends with it.
        text: its bytes.
    """

    time: bytes
    full: bool
    text: bytes


def parse(line: bytes) -> Entry | None:
    """An entry from a line without its newline; None for one that is not in CRI's form."""
    parts = line.split(b" ", 3)
    if len(parts) < 3 or parts[1] not in (b"stdout", b"stderr"):
        return None
    return Entry(parts[0], parts[2].split(b":")[0] == b"F", parts[3] if len(parts) > 3 else b"")


def moment(text: bytes) -> datetime:
    """When an entry was written; fractions finer than a microsecond are cut off.

    Raises:
        ValueError: the text is not a time.
    """
    words = text.decode(errors="replace")
    if words.endswith("Z"):
        head, zone = words[:-1], "+00:00"
    else:
        head, zone = words[:-6], words[-6:]
    whole, _, fraction = head.partition(".")
    return datetime.fromisoformat(f"{whole}.{(fraction + '000000')[:6]}{zone}").astimezone(UTC)


class _Shaper:
    """Turns entries into what the reader gets."""

    def __init__(self, query: LogQuery) -> None:
        self._query = query
        self._line_begins = True
        self._left = query.limit_bytes
        self._since_passed = query.since is None

    @property
    def full(self) -> bool:
        """Whether the limit is reached."""
        return self._left is not None and self._left <= 0

    def shape(self, lines: list[bytes]) -> bytes:
        """What these lines of the file give."""
        result = bytearray()
        for line in lines:
            entry = parse(line)
            if entry is None or not self._wanted(entry):
                continue
            if self._query.timestamps and self._line_begins:
                result += entry.time + b" "
            result += entry.text
            if entry.full:
                result += b"\n"
            self._line_begins = entry.full
        if self._left is not None:
            del result[self._left :]
            self._left -= len(result)
        return bytes(result)

    def _wanted(self, entry: Entry) -> bool:
        if self._since_passed:
            return True
        assert self._query.since is not None
        try:
            self._since_passed = moment(entry.time) >= self._query.since
        except ValueError:
            return False
        return self._since_passed


def tail_offset(file: BinaryIO, lines: int) -> int:
    """Where the last `lines` lines of a log begin; parts of one line count once."""
    end = file.seek(0, 2)
    if lines <= 0:
        return end
    position, found, kept = end, 0, b""
    while position > 0:
        step = min(CHUNK_BYTES, position)
        position -= step
        file.seek(position)
        block = file.read(step) + kept
        pieces = block.split(b"\n")
        # The first piece may have begun in the block before.
        kept = pieces[0]
        offset = position + len(block)
        if block.endswith(b"\n"):
            pieces.pop()
            offset -= 1
        for piece in reversed(pieces[1:] if position > 0 else pieces):
            offset -= len(piece)
            entry = parse(piece)
            if entry is not None and entry.full:
                found += 1
                if found > lines:
                    return offset + len(piece) + 1
            offset -= 1
    return 0


def _open(path: Path, query: LogQuery) -> BinaryIO:
    file = path.open("rb")
    if query.tail_lines is not None:
        file.seek(tail_offset(file, query.tail_lines))
    return file


async def read(path: Path, query: LogQuery, alive: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Yields what the query asks for. While following, `alive` says whether more may be written.

    A log that is moved away and begun anew while it is followed is read to its end and then from the new beginning.

    Raises:
        FileNotFoundError: there is no log.
    """
    shaper = _Shaper(query)
    file = await asyncio.to_thread(_open, path, query)
    rest = b""
    try:
        while True:
            ended = not alive()
            block = await asyncio.to_thread(file.read, CHUNK_BYTES)
            if block:
                *lines, rest = (rest + block).split(b"\n")
                shaped = shaper.shape(lines)
                if shaped:
                    yield shaped
                if shaper.full:
                    return
                continue
            if not query.follow:
                return
            fresh = _replacement(path, file)
            if fresh is not None:
                file.close()
                file, rest = fresh, b""
                continue
            if ended:
                return
            await asyncio.sleep(POLL_S)
    finally:
        file.close()


def _replacement(path: Path, file: BinaryIO) -> BinaryIO | None:
    """The file that is now at the path, when it is another one."""
    import os

    try:
        now, before = path.stat(), os.fstat(file.fileno())
    except FileNotFoundError:
        return None
    if (now.st_ino, now.st_dev) == (before.st_ino, before.st_dev):
        return None
    return path.open("rb")
