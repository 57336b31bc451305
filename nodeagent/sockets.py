"""Connections whose last words are heard.

A peer that closes while it has not read everything resets the connection. asyncio's reader then forgets what had come
before and was not yet taken from it: the last of a program's output, or how it ended.
"""

from __future__ import annotations

import asyncio
import socket


class LastingReader(asyncio.StreamReader):
    """A reader for which a reset is an end behind everything that came before it."""

    def set_exception(self, exc: Exception) -> None:
        """As asyncio says, when the connection is lost."""
        if isinstance(exc, OSError):
            self.feed_eof()
        else:
            super().set_exception(exc)


async def open_connection(to: tuple[str, int] | socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As `asyncio.open_connection`, to a host and a port or over a connected socket, with a reader that lasts.

    Raises:
        OSError: nobody answers there.
    """
    loop = asyncio.get_running_loop()
    reader = LastingReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    if isinstance(to, socket.socket):
        transport, _ = await loop.create_connection(lambda: protocol, sock=to)
    else:
        transport, _ = await loop.create_connection(lambda: protocol, *to)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
