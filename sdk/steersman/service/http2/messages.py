"""gRPC's messages inside of a stream: a flag, a length, the bytes."""

from __future__ import annotations

import struct
import zlib

PREFIX_BYTES = 5
_PREFIX = struct.Struct(">BL")

# How `zlib` is told to read what gRPC calls gzip and deflate.
_WINDOW_BITS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
ENCODINGS = (b"identity", *_WINDOW_BITS)


class MessageTooLarge(Exception):
    """A message exceeds what this server takes.

    Attributes:
        size: its size in bytes, or what it had come to when it was given up.
        limit: what is taken.
    """

    def __init__(self, size: int, limit: int) -> None:
        # The words are those of gRPC's other servers, which clients know.
        super().__init__(f"received message larger than max ({size} vs. {limit})")
        self.size = size
        self.limit = limit


class MessageBroken(Exception):
    """What arrived is no message."""


def pack(message: bytes) -> bytes:
    """A message, not compressed."""
    return _PREFIX.pack(0, len(message)) + message


class MessageReader:
    """Cuts the data of one stream into messages."""

    __slots__ = ("_encoding", "_limit", "_missing", "_parts")

    def __init__(self, encoding: bytes, limit: int) -> None:
        self._encoding = encoding
        self._limit = limit
        # What is here of a message that is not complete, and at least how much of it is missing.
        self._parts: list[bytes] = []
        self._missing = 0

    @property
    def is_between(self) -> bool:
        """Whether no message is half here."""
        return not self._parts

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes.

        Raises:
            MessageTooLarge: one is, or would be.
            MessageBroken: a flag is unknown, or a compressed one cannot be read.
        """
        buffer = data
        if self._parts:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return []
            buffer = b"".join(self._parts)
            self._parts = []
        messages = []
        place, end = 0, len(buffer)
        self._missing = PREFIX_BYTES
        while end - place >= PREFIX_BYTES:
            flag, size = _PREFIX.unpack_from(buffer, place)
            if size > self._limit:
                raise MessageTooLarge(size, self._limit)
            begin = place + PREFIX_BYTES
            if end - begin < size:
                self._missing += size
                break
            place = begin + size
            body = buffer[begin:place]
            messages.append(body if flag == 0 else self._expand(flag, body))
        if place < end:
            self._parts.append(buffer[place:])
            self._missing -= end - place
        return messages

    def _expand(self, flag: int, body: bytes) -> bytes:
        bits = _WINDOW_BITS.get(self._encoding)
        if flag != 1 or bits is None:
            raise MessageBroken
        expander = zlib.decompressobj(bits)
        try:
            expanded = expander.decompress(body, self._limit + 1)
        except zlib.error:
            raise MessageBroken from None
        if len(expanded) > self._limit:
            raise MessageTooLarge(len(expanded), self._limit)
        if not expander.eof:
            raise MessageBroken
        return expanded
