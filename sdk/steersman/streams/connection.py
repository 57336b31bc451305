"""Connections to a pod's TCP ports, by themselves or behind a local port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from steersman import errors
from steersman.streams.duplex import Duplex

PIECE = 64 * 1024


class Connection:
    """One connection to a port. Use it as an asynchronous context manager: it is open inside and closed behind."""

    def __init__(self, duplex: Duplex) -> None:
        """A connection that is not open yet, at the other end of a call."""
        self._duplex = duplex
        self._first = b""

    async def __aenter__(self) -> Self:
        try:
            await self._duplex.open()
            # The first message says that the port has taken the connection; it need not have anything in it.
            first = await self._duplex.read()
        except BaseException:
            self._duplex.close()
            raise
        self._first = bytes(first.data) if first is not None else b""
        return self

    async def __aexit__(self, *_: object) -> None:
        self._duplex.close()

    async def write(self, data: bytes) -> None:
        """Sends bytes; waits while the other side does not take them.

        Raises:
            BrokenPipeError: the connection has ended.
            ApiError: it was lost.
        """
        for begin in range(0, len(data), PIECE):
            await self._duplex.send(self._duplex.request(data=data[begin : begin + PIECE]))

    async def write_eof(self) -> None:
        """Says that nothing more is sent; what comes can still be read."""
        await self._duplex.send(self._duplex.request(eof=True))

    async def read(self) -> bytes:
        """The bytes that have come, waiting for some; empty when the other side has closed.

        Raises:
            ApiError: the connection was lost.
        """
        if self._first:
            data, self._first = self._first, b""
            return data
        while (answer := await self._duplex.read()) is not None:
            if answer.data:
                return bytes(answer.data)
        return b""


class Forward:
    """A local port whose connections go on to a pod's. Use it as an asynchronous context manager; it gives the port."""

    def __init__(
        self,
        dial: Callable[[], Connection],
        *,
        address: str,
        port: int,
        on_error: Callable[[errors.ApiError], None] | None = None,
    ) -> None:
        """A port that nobody listens at yet.

        Args:
            dial: makes a connection to the pod.
            address: where to listen.
            port: the port; 0 for any that is free.
            on_error: told of connections that could not be made or were lost.
        """
        self._dial = dial
        self._address = address
        self._port = port
        self._on_error = on_error
        self._server: asyncio.Server | None = None
        self._relays: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> int:
        """Listens; returns the port.

        Raises:
            OSError: the address cannot be bound.
        """
        self._server = await asyncio.start_server(self._serve, self._address, self._port)
        self._closed = False
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._closed = True
        for task in self._relays:
            task.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._closed:
            # It was taken in the moment in which the port was closed.
            writer.close()
            return
        self._relays.add(task)
        try:
            async with self._dial() as connection:
                sending = asyncio.create_task(_send_all(reader, connection))
                try:
                    while data := await connection.read():
                        writer.write(data)
                        await writer.drain()
                finally:
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
        except errors.ApiError as error:
            if self._on_error is not None:
                self._on_error(error)
        except (ConnectionError, asyncio.CancelledError):
            # The local side has gone, or the port is closed: so may the other side be.
            pass
        finally:
            self._relays.discard(task)
            writer.close()


async def _send_all(reader: asyncio.StreamReader, connection: Connection) -> None:
    with suppress(ConnectionError, errors.ApiError):
        while data := await reader.read(PIECE):
            await connection.write(data)
        await connection.write_eof()
