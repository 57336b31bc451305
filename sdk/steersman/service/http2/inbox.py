"""The messages that one stream has brought and nobody has taken yet."""

from __future__ import annotations

import asyncio
import collections
from typing import TYPE_CHECKING, Any

from steersman.service.http2 import frames
from steersman.service.http2.frames import ErrorCode, StreamFault
from steersman.service.http2.messages import MessageReader
from steersman.service.http2.wire import STREAM_WINDOW

if TYPE_CHECKING:
    from steersman.service.http2.wire import Wire

# What may wait; with more the other side has to wait too.
QUEUE_BYTES = 1024 * 1024
# A stream's window is opened again when this much of it is used.
GRANT_BYTES = 256 * 1024
# What a message that waits costs besides its bytes: even empty ones must not come without end.
MESSAGE_COST = 64


class Inbox:
    """Messages in their order, and the stream's window opened again as they are taken."""

    __slots__ = ("_granted", "_messages", "_queued", "_reader", "_room", "_stream", "_waiter", "_wire", "closed")

    def __init__(self, wire: Wire[Any], stream: int, encoding: bytes, limit: int) -> None:
        """Takes messages of at most `limit` bytes.

        Attributes:
            closed: whether nothing more comes.
        """
        self.closed = False
        self._wire = wire
        self._stream = stream
        self._reader = MessageReader(encoding, limit)
        self._messages: collections.deque[bytes] = collections.deque()
        self._queued = 0
        self._granted = 0
        self._room = STREAM_WINDOW
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes, size: int) -> None:
        """Takes data that used `size` bytes of the window.

        Raises:
            StreamFault: the window does not have so many.
            MessageTooLarge: a message is.
            MessageBroken: what came is none.
        """
        self._room -= size
        if self._room < 0:
            raise StreamFault(self._stream, ErrorCode.FLOW_CONTROL_ERROR)
        for message in self._reader.feed(data):
            self._messages.append(message)
            self._queued += len(message) + MESSAGE_COST
        self._granted += size
        if self._granted >= GRANT_BYTES:
            self._grant()
        if self._waiter is not None and self._messages:
            self._wake()

    def close(self) -> None:
        """Nothing more comes."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _grant(self) -> None:
        if self._granted >= GRANT_BYTES and self._queued <= QUEUE_BYTES and not self.closed:
            self._wire.push(frames.window_update(self._stream, self._granted))
            self._room += self._granted
            self._granted = 0

    @property
    def is_whole(self) -> bool:
        """Whether no message is half here."""
        return self._reader.is_between

    def only(self) -> bytes | None:
        """The message of a closed stream that has exactly one; None when it has not."""
        return self._messages[0] if len(self._messages) == 1 and self._reader.is_between else None

    async def next(self) -> bytes | None:
        """The next message when it is there; None behind the last. One caller at a time."""
        while not self._messages:
            if self.closed:
                return None
            self._waiter = self._wire.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._messages.popleft()
        self._queued -= len(message) + MESSAGE_COST
        self._grant()
        return message
