"""SPDY/3.1 framing, as far as the streaming servers of container runtimes speak it.

They also offer WebSocket (v4.channel.k8s.io), but there a client cannot end a command's standard input without cutting
off its output; a SPDY stream can be half-closed.

Streams are opened by the client only, and neither side enforces flow control.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from nodeagent.sockets import open_connection

VERSION = 3
SYN_STREAM, RST_STREAM, PING, GOAWAY = 1, 3, 6, 7
FIN = 0x01
HEAD_BYTES = 8
ANSWER_BYTES_MAX = 16 * 1024
# A frame's length has 24 bits; smaller ones keep the streams of one connection from holding each other up.
DATA_BYTES_MAX = 32 * 1024
# How long what is still to be sent may take when a connection is closed.
CLOSE_S = 0.5

# The preset dictionary for headers, from the SPDY/3 specification (1423 bytes, Adler-32 e3c6a7c2).
_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_PHRASES = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(struct.pack(">I", len(each)) + each.encode() for each in (*_WORDS.split(), *_PHRASES)) + _TAIL.encode()
)


@dataclass(frozen=True)
class Data:
    """What the server sent on a stream.

    Attributes:
        stream: id of the stream.
        data: bytes, maybe none.
        last: nothing more comes on this stream.
    """

    stream: int
    data: bytes
    last: bool


class SpdyConnection:
    """A connection that was upgraded to SPDY/3.1."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._deflate = zlib.compressobj(wbits=15, zdict=DICTIONARY)
        self._next_id = 1

    @classmethod
    async def upgrade(cls, url: str, headers: Mapping[str, str]) -> SpdyConnection:
        """Connects to an http:// address and upgrades.

        Raises:
            OSError: nobody answers there, or the server refuses.
        """
        parts = urlsplit(url)
        reader, writer = await open_connection((parts.hostname or "", parts.port or 80))
        try:
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            sent = {"Host": parts.netloc, "Connection": "Upgrade", "Upgrade": "SPDY/3.1", "Content-Length": "0"}
            lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in {**sent, **headers}.items())]
            writer.write("\r\n".join([*lines, "", ""]).encode())
            await writer.drain()
            answer = (await reader.readuntil(b"\r\n\r\n")).decode(errors="replace")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            writer.close()
            raise OSError(f"{parts.netloc} does not answer in HTTP") from error
        except BaseException:
            writer.close()
            raise
        status = answer.split("\r\n", 1)[0]
        if " 101 " not in f"{status} ":
            writer.close()
            raise OSError(f"{parts.netloc} refuses the stream: {status}")
        return cls(reader, writer)

    async def open_stream(self, headers: Mapping[str, str]) -> int:
        """Opens a stream; returns its id."""
        stream, self._next_id = self._next_id, self._next_id + 2
        block = struct.pack(">I", len(headers))
        for name, value in headers.items():
            for text in (name.lower().encode(), value.encode()):
                block += struct.pack(">I", len(text)) + text
        packed = self._deflate.compress(block) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        await self._control(SYN_STREAM, 0, struct.pack(">IIH", stream, 0, 0) + packed)
        return stream

    async def _control(self, kind: int, flags: int, payload: bytes) -> None:
        self._writer.write(struct.pack(">HHI", 0x8000 | VERSION, kind, flags << 24 | len(payload)) + payload)
        await self._writer.drain()

    async def send(self, stream: int, data: bytes, *, last: bool = False) -> None:
        """Sends bytes on a stream; with `last` nothing more follows.

        Raises:
            OSError: the connection broke.
        """
        pieces = [data[at : at + DATA_BYTES_MAX] for at in range(0, len(data), DATA_BYTES_MAX)] or [b""]
        for index, piece in enumerate(pieces):
            flags = FIN if last and index == len(pieces) - 1 else 0
            self._writer.write(struct.pack(">II", stream, flags << 24 | len(piece)) + piece)
            await self._writer.drain()

    async def received(self) -> AsyncIterator[Data]:
        """Yields what the server sends, until it closes the connection."""
        while True:
            try:
                first, second = struct.unpack(">II", await self._reader.readexactly(HEAD_BYTES))
                payload = await self._reader.readexactly(second & 0xFFFFFF)
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            if not first & 0x80000000:
                yield Data(first & 0x7FFFFFFF, payload, bool(second >> 24 & FIN))
                continue
            match first & 0xFFFF:
                case kind if kind == PING:
                    # Pings with an even number are the server's, and it wants them back.
                    if not struct.unpack(">I", payload)[0] & 1:
                        await self._control(PING, 0, payload)
                case kind if kind == RST_STREAM:
                    yield Data(struct.unpack(">I", payload[:4])[0] & 0x7FFFFFFF, b"", True)
                case kind if kind == GOAWAY:
                    return

    async def close(self) -> None:
        """Closes the connection; what the server does not take within a moment is given up."""
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._writer.wait_closed()
        except TimeoutError:
            # A command that has ended reads no more of its input, and its server then neither reads nor hangs up.
            self._writer.transport.abort()
        except OSError:
            return
