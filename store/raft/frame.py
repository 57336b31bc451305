"""The envelope of everything on the disk: length, sequence number and two checksums in front of each piece.

The header has a checksum of its own, so that a damaged length is not mistaken for a file that ends early.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"StFr"
_HEADER = struct.Struct("<4sIQI")
_CHECKSUM = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CHECKSUM.size
SECTOR_BYTES = 512


def pack(sequence: int, payload: bytes) -> bytes:
    """`payload` in its envelope, as number `sequence` of its file or series of files."""
    head = _HEADER.pack(MAGIC, len(payload), sequence, zlib.crc32(payload))
    return head + _CHECKSUM.pack(zlib.crc32(head)) + payload


@dataclass(frozen=True)
class Piece:
    """One piece as it was read: where it begins and ends in its file, and what it holds."""

    start: int
    end: int
    sequence: int
    payload: bytes


@dataclass(frozen=True)
class Damage:
    """Why reading stopped.

    Attributes:
        offset: where.
        reason: what is wrong there.
        torn: whether it looks like a write that a crash cut off: the file ends early, or sectors never arrived.
    """

    offset: int
    reason: str
    torn: bool


def read(data: bytes) -> Iterator[Piece | Damage]:
    """The pieces of a file in order; a `Damage`, which is the last, where they cannot be followed further."""
    offset = 0
    size = len(data)
    while offset < size:
        if size - offset < HEADER_BYTES:
            yield Damage(offset, "the file ends within a header", torn=True)
            return
        head = data[offset : offset + _HEADER.size]
        magic, length, sequence, checksum = _HEADER.unpack(head)
        (head_checksum,) = _CHECKSUM.unpack_from(data, offset + _HEADER.size)
        start = offset + HEADER_BYTES
        if magic != MAGIC or zlib.crc32(head) != head_checksum:
            torn = not any(data[offset:])
            yield Damage(offset, "the header's checksum does not match", torn=torn)
            return
        end = start + length
        if end > size:
            yield Damage(offset, f"the file ends {end - size} bytes before its last record does", torn=True)
            return
        payload = data[start:end]
        if zlib.crc32(payload) != checksum:
            torn = end == size and _misses_sector(payload, start)
            yield Damage(offset, "the record's checksum does not match", torn=torn)
            return
        yield Piece(offset, end, sequence, payload)
        offset = end


def _misses_sector(payload: bytes, start: int) -> bool:
    """Whether a whole sector of the last record is zero: it was never written."""
    place = 0
    while place < len(payload):
        until = min(len(payload), place + SECTOR_BYTES - (start + place) % SECTOR_BYTES)
        if not any(payload[place:until]):
            return True
        place = until
    return False
