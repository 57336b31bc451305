"""A call with a stream each way, whose errors are the SDK's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from steersman import errors


class Duplex:
    """One such call: opened, written to, read from, closed."""

    def __init__(self, open_call: Callable[[], Any], start: Any) -> None:
        """A call that is not made yet.

        Args:
            open_call: makes the call.
            start: its first request; of its class are the others.
        """
        self._open_call = open_call
        self._call: Any = None
        self.start = start
        self.request: type[Any] = type(start)

    async def open(self) -> None:
        """Makes the call and sends the first request.

        Raises:
            ApiError: it failed.
        """
        self._call = self._open_call()
        await self.send(self.start)

    async def send(self, request: Any) -> None:
        """Sends a request; waits while the other side takes none.

        Raises:
            ApiError: the call failed.
            BrokenPipeError: it has ended.
        """
        try:
            await self._call.write(request)
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error) from error
        except asyncio.InvalidStateError:
            raise BrokenPipeError("the other side has ended") from None

    async def read(self) -> Any | None:
        """The next response; None behind the last.

        Raises:
            ApiError: the call failed.
        """
        try:
            answer = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error) from error
        return None if answer is grpc.aio.EOF else answer

    def close(self) -> None:
        """Gives the call up, if it still runs."""
        if self._call is not None:
            self._call.cancel()
