"""Header fields: what a request's header block asks for, and the blocks of responses.

Clients send the same block again and again once HPACK's table holds their fields, so that what a block means is
remembered until the table changes. Responses are written without a table: the same bytes do for all of them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

import hpack
from hpack.exceptions import HPACKError
from hpack.table import HeaderTable

from steersman.service.http2.frames import ConnectionFault, ErrorCode

# Blocks that are remembered for one connection, and how large one may be to be remembered.
BLOCKS_KEPT = 256
BLOCK_BYTES_KEPT = 1024

# How a block begins that changes the size of the table (RFC 7541, section 6.3).
_RESIZE, _RESIZE_MASK = 0x20, 0xE0

_CONNECTION_FIELDS = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_REQUEST_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
# Said to every call by the transport; callers do not see them.
_RESERVED = frozenset(
    (b"content-type", b"grpc-encoding", b"grpc-accept-encoding", b"grpc-status", b"grpc-message", b"date", b"server")
)
# Seconds, as a fraction.
_UNITS = {
    b"H": (3600, 1),
    b"M": (60, 1),
    b"S": (1, 1),
    b"m": (1, 1000),
    b"u": (1, 1_000_000),
    b"n": (1, 1_000_000_000),
}

Metadata = tuple[tuple[str, str | bytes], ...]


class Malformed(Exception):
    """A header block breaks the rules of HTTP; the stream ends with PROTOCOL_ERROR."""


class Head:
    """What a request's header block asks for.

    Attributes:
        method: of HTTP.
        path: "/package.Service/Method".
        content_type: as sent.
        encoding: how messages with the compressed flag are compressed.
        timeout_s: seconds after which nobody waits for the answer; None without such a limit, NaN if it was unreadable.
        content_length: announced size of the body, if it was.
        metadata: the caller's own fields, in order; names that end in "-bin" have bytes.
    """

    __slots__ = ("content_length", "content_type", "encoding", "metadata", "method", "path", "timeout_s")

    def __init__(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """Reads fields.

        Raises:
            Malformed: they are no request's.
        """
        pseudo: dict[bytes, bytes] = {}
        metadata: list[tuple[str, str | bytes]] = []
        self.content_type = b""
        self.encoding = b"identity"
        self.timeout_s: float | None = None
        self.content_length: int | None = None
        regular = False
        for name, value in fields:
            if name.startswith(b":"):
                if regular or name not in _REQUEST_PSEUDO or name in pseudo:
                    raise Malformed
                pseudo[name] = value
                continue
            regular = True
            self._take(name, value, metadata)
        try:
            self.method = pseudo[b":method"]
            path = pseudo[b":path"]
            _ = pseudo[b":scheme"]
        except KeyError:
            raise Malformed from None
        if not path:
            raise Malformed
        self.path = path.decode("latin-1")
        self.metadata: Metadata = tuple(metadata)

    def _take(self, name: bytes, value: bytes, metadata: list[tuple[str, str | bytes]]) -> None:
        if name in _CONNECTION_FIELDS or name != name.lower() or not name:
            raise Malformed
        if name == b"te":
            if value != b"trailers":
                raise Malformed
        elif name == b"content-type":
            self.content_type = value
        elif name == b"grpc-encoding":
            self.encoding = value
        elif name == b"grpc-timeout":
            self.timeout_s = read_timeout(value)
        elif name == b"grpc-accept-encoding":
            pass
        elif name == b"content-length":
            if not value.isdigit():
                raise Malformed
            self.content_length = int(value)
        else:
            metadata.extend((name.decode("latin-1"), item) for item in _values(name, value))


def read_metadata(fields: Iterable[tuple[bytes, bytes]]) -> Metadata:
    """The metadata among the fields of an answer. Raises Malformed."""
    return tuple(
        (name.decode("latin-1"), item)
        for name, value in fields
        if not name.startswith(b":") and name not in _RESERVED
        for item in _values(name, value)
    )


def _values(name: bytes, value: bytes) -> Iterable[str | bytes]:
    if not name.endswith(b"-bin"):
        yield value.decode("latin-1")
        return
    for part in value.split(b","):
        try:
            yield base64.b64decode(part + b"=" * (-len(part) % 4), validate=True)
        except binascii.Error:
            raise Malformed from None


def read_timeout(value: bytes) -> float:
    """Seconds of a `grpc-timeout`: up to eight digits and a unit. NaN when it is none."""
    digits, unit = value[:-1], value[-1:]
    if not digits.isdigit() or len(digits) > 8 or unit not in _UNITS:
        return float("nan")
    times, parts = _UNITS[unit]
    return int(digits) * times / parts


class _CountingTable(HeaderTable):
    """HPACK's table, counting what is put into it."""

    def __init__(self) -> None:
        self.changes = 0
        super().__init__()

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)


class BlockReader:
    """Reads the header blocks of one connection, which must come in their order."""

    def __init__(self, list_bytes_max: int) -> None:
        """Reads blocks whose fields have at most `list_bytes_max` bytes, counted as HPACK counts them."""
        self._decoder = hpack.Decoder(max_header_list_size=list_bytes_max)
        self._table = _CountingTable()
        self._decoder.header_table = self._table
        self._known: dict[bytes, Head] = {}
        self._known_at = 0

    def read(self, block: bytes) -> Head:
        """What a request's block asks for.

        Raises:
            Malformed: it is no request's block.
            ConnectionFault: it cannot be decoded, so that no later one can either.
        """
        known = self._known.get(block)
        if known is not None and self._known_at == self._table.changes:
            return known
        resizes = bool(block) and block[0] & _RESIZE_MASK == _RESIZE
        self._table.changes += resizes
        before = self._table.changes
        made = Head(self.fields(block))
        if self._table.changes != self._known_at or len(self._known) >= BLOCKS_KEPT:
            self._known.clear()
        self._known_at = self._table.changes
        if before == self._table.changes and not resizes and len(block) <= BLOCK_BYTES_KEPT:
            self._known[block] = made
        return made

    def fields(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """The fields of a block.

        Raises:
            ConnectionFault: it cannot be decoded, so that no later one can either.
        """
        try:
            return [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        except hpack.OversizedHeaderListError:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many header fields") from None
        except (HPACKError, UnicodeDecodeError, IndexError):
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "a header block cannot be decoded") from None


def literal(name: bytes, value: bytes) -> bytes:
    """A field as HPACK writes one that no table knows nor shall remember."""
    return b"\x00" + _length(len(name)) + name + _length(len(value)) + value


def _length(size: int) -> bytes:
    if size < 127:
        return bytes((size,))
    rest = size - 127
    encoded = bytearray(b"\x7f")
    while rest >= 128:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


def encode_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> bytes:
    """Metadata as fields."""
    fields = []
    for name, value in metadata:
        key = name.lower().encode("ascii")
        if key.endswith(b"-bin"):
            raw = value.encode() if isinstance(value, str) else value
            fields.append(literal(key, base64.b64encode(raw).rstrip(b"=")))
        else:
            fields.append(literal(key, value.encode("latin-1") if isinstance(value, str) else value))
    return b"".join(fields)


def encode_details(details: str) -> bytes:
    """A status message as gRPC writes it: UTF-8, and percent signs for what is not printable ASCII."""
    return b"".join(
        bytes((byte,)) if 0x20 <= byte <= 0x7E and byte != 0x25 else b"%%%02X" % byte
        for byte in details.encode("utf-8", "replace")
    )


# ":status: 200", which HPACK's own table has, and the content type.
RESPONSE = b"\x88" + literal(b"content-type", b"application/grpc")
# ":status: 415".
NOT_GRPC = b"\x08\x03415" + literal(b"content-type", b"text/plain")
OK = literal(b"grpc-status", b"0")


def status(code: int, details: str, metadata: bytes = b"") -> bytes:
    """The block that ends a call; `metadata` is encoded."""
    message = literal(b"grpc-message", encode_details(details)) if details else b""
    return literal(b"grpc-status", str(code).encode()) + message + metadata
