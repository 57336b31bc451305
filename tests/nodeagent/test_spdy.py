"""Streams to a server that has had enough."""

from __future__ import annotations

import asyncio
import contextlib

from nodeagent.cri.spdy import SpdyConnection


async def test_a_connection_is_closed_although_the_server_reads_no_more() -> None:
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        await left.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        connection = await SpdyConnection.upgrade(f"http://127.0.0.1:{port}/exec", {})
        stream = await connection.open_stream({"streamType": "stdin"})
        sending = asyncio.create_task(connection.send(stream, bytes(50_000_000)))
        # The kernel's buffers are full before so much is sent.
        done, _ = await asyncio.wait({sending}, timeout=0.5)
        assert not done
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        await asyncio.wait_for(connection.close(), 60)
        left.set()
