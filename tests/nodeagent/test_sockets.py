"""What a peer said before it reset the connection is heard."""

from __future__ import annotations

import asyncio

import pytest

from nodeagent.sockets import LastingReader, open_connection


async def test_a_reset_is_an_end_behind_what_came_before_it() -> None:
    reader = LastingReader()
    reader.feed_data(b"last words")
    reader.set_exception(ConnectionResetError())
    assert await reader.readexactly(4) == b"last"
    assert await reader.read(100) == b" words"
    assert await reader.read(100) == b""
    with pytest.raises(asyncio.IncompleteReadError):
        await reader.readexactly(1)


async def test_asyncios_own_reader_forgets_it() -> None:
    """Why there is another one; when this fails, it is no longer needed."""
    reader = asyncio.StreamReader()
    reader.feed_data(b"last words")
    reader.set_exception(ConnectionResetError())
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(4)


async def test_a_connection_is_read_and_written() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        reader, writer = await open_connection(server.sockets[0].getsockname())
        writer.write(b"hello\n")
        assert await reader.read(-1) == b"HELLO\n"
        writer.close()
        await writer.wait_closed()
