"""A client's end of a connection, and its calls. `channel.py` makes connections and keeps them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

import grpc
from google.protobuf.message import DecodeError

from steersman.service.http2 import fields, frames, messages
from steersman.service.http2.fields import Malformed, Metadata
from steersman.service.http2.frames import ErrorCode, StreamFault
from steersman.service.http2.inbox import Inbox
from steersman.service.http2.messages import MessageBroken, MessageTooLarge
from steersman.service.http2.wire import Wire

CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
_OF_RESET = {
    ErrorCode.REFUSED_STREAM: grpc.StatusCode.UNAVAILABLE,
    ErrorCode.CANCEL: grpc.StatusCode.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: grpc.StatusCode.PERMISSION_DENIED,
}
# What an answer without gRPC's status means, by that of HTTP.
_OF_HTTP = {
    b"400": grpc.StatusCode.INTERNAL,
    b"401": grpc.StatusCode.UNAUTHENTICATED,
    b"403": grpc.StatusCode.PERMISSION_DENIED,
    b"404": grpc.StatusCode.UNIMPLEMENTED,
    b"429": grpc.StatusCode.UNAVAILABLE,
    b"502": grpc.StatusCode.UNAVAILABLE,
    b"503": grpc.StatusCode.UNAVAILABLE,
    b"504": grpc.StatusCode.UNAVAILABLE,
}
# How a call ends whose answer makes no sense.
_CODE_UNREADABLE, _UNREADABLE = grpc.StatusCode.INTERNAL, "a response message cannot be read"
# What a server that says nothing of it serves at once.
_UNLIMITED = 1 << 31


class ClientConnection(Wire["ClientCall"]):
    """One connection to a server. `ready` becomes done when the server has greeted, or is lost before it has."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limit: int, on_lost: Callable[[ClientConnection], None]
    ) -> None:
        """Takes messages of at most `limit` bytes; tells `on_lost` when it can be used no more."""
        super().__init__(loop, b"")
        self.limit = limit
        self.draining = False
        self.ready: asyncio.Future[None] = loop.create_future()
        self._on_lost = on_lost
        self._next_stream = 1
        self._streams_max = _UNLIMITED

    @property
    def is_usable(self) -> bool:
        """Whether calls can be made on it."""
        return not self.closing and not self.draining and self.ready.done()

    @property
    def has_room(self) -> bool:
        """Whether the server serves one more call at once."""
        return len(self.calls) < self._streams_max

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio says."""
        self.begin(transport, frames.PREFACE, {frames.ENABLE_PUSH: 0})

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio says: every call ends."""
        if not self.ready.done():
            self.ready.set_exception(exc or ConnectionResetError("the server closed the connection"))
        super().connection_lost(exc)
        self._on_lost(self)

    def on_streams_max(self, streams: int) -> None:
        """As the wire says."""
        self._streams_max = streams

    def on_settings(self) -> None:
        """As the wire says: the server has greeted."""
        if not self.ready.done():
            self.ready.set_result(None)

    def on_goaway(self, last_stream: int, reason: str) -> None:
        """As the wire says: calls behind the last stream were not looked at; the others may go on."""
        self.draining = True
        for stream in [stream for stream in self.calls if stream > last_stream]:
            self.calls.pop(stream).lost(reason or "the server is going away", ErrorCode.REFUSED_STREAM)
        self._on_lost(self)
        self.settle()

    def settle(self) -> None:
        """Ends a connection that takes no more calls when its last has ended."""
        self.wake()
        if self.draining and not self.calls:
            self.end(ErrorCode.NO_ERROR, "")

    def open(self, call: ClientCall) -> int:
        """A stream for `call`."""
        stream = self._next_stream
        self._next_stream += 2
        self.last_stream = stream
        self.calls[stream] = call
        if stream > frames.WINDOW_LIMIT - 1000:
            # Numbers are used up; the next calls go over a new connection.
            self.draining = True
            self._on_lost(self)
        return stream

    def on_block(self, stream: int, block: bytes, *, ended: bool, depends_on_itself: bool) -> None:
        """As the wire says."""
        read = self.reader.fields(block)
        call = self.calls.get(stream)
        if call is not None:
            call.on_fields(read, ended=ended)

    def on_data(self, stream: int, payload: bytes, size: int, *, ended: bool) -> None:
        """As the wire says. What comes for a call that was given up is nobody's."""
        call = self.calls.get(stream)
        if call is not None:
            call.on_data(payload, size, ended=ended)


class ClientCall:
    """One call. Like the calls of `grpc.aio`: awaited for the one response, or iterated over, or read from."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        encode: Callable[[Any], bytes] | None,
        decode: Callable[[bytes], Any] | None,
        timeout_s: float | None,
    ) -> None:
        """A call that is on no stream yet.

        Args:
            loop: where it runs.
            encode: serialises requests.
            decode: parses responses.
            timeout_s: seconds after which the call ends by itself.
        """
        self.window = 0
        self.sending = False
        self._loop = loop
        self._encode = encode
        self._decode = decode
        self._connection: ClientConnection | None = None
        self._stream = 0
        self._inbox: Inbox | None = None
        self._started: asyncio.Future[None] | None = None
        self._finished: asyncio.Future[None] = loop.create_future()
        self._local_ended = False
        self._cancelled = False
        self._code: grpc.StatusCode | None = None
        self._details = ""
        self._http: bytes | None = None
        self._initial: Metadata = ()
        self._trailing: Metadata = ()
        self._deadline = loop.time() + timeout_s if timeout_s is not None else None
        self._timer = loop.call_later(timeout_s, self._expire) if timeout_s is not None else None
        self._again: Callable[[], None] | None = None
        self._feeding: asyncio.Task[None] | None = None

    # -- from the channel --------------------------------------------------------------------------------------

    def begin(self, connection: ClientConnection, block: bytes, request: bytes | None) -> None:
        """Opens a stream; with `request` that is all there is to say. `block` is the call's header block."""
        self._connection = connection
        self.window = connection.stream_window
        self._stream = stream = connection.open(self)
        self._inbox = Inbox(connection, stream, b"identity", connection.limit)
        opening = frames.frame(frames.HEADERS, frames.FLAG_END_HEADERS, stream, block)
        if request is None:
            connection.push(opening)
        else:
            self._local_ended = True
            data = messages.pack(request)
            if connection.send_now(self, len(data)):
                connection.push(opening + frames.frame(frames.DATA, frames.FLAG_END_STREAM, stream, data))
            else:
                connection.push(opening)
                self._feeding = self._loop.create_task(connection.send(stream, self, data, last=True))
        if self._started is not None and not self._started.done():
            self._started.set_result(None)

    def retry_with(self, again: Callable[[], None]) -> None:
        """Calls `again` once if the server says that it has not looked at the call."""
        self._again = again

    def feed(self, requests: AsyncIterable[Any] | Iterable[Any]) -> None:
        """Sends requests as they come, then ends the client's side."""
        self._feeding = self._loop.create_task(self._feed(requests))

    async def _feed(self, requests: AsyncIterable[Any] | Iterable[Any]) -> None:
        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    await self._write(request)
            else:
                for request in requests:
                    await self._write(request)
            await self.done_writing()
        except asyncio.InvalidStateError:
            # The call has ended; its reader hears of that.
            pass
        except Exception:
            self.cancel()
            raise

    # -- from the connection -----------------------------------------------------------------------------------

    def on_fields(self, read: list[tuple[bytes, bytes]], *, ended: bool) -> None:
        """Header fields have come: those that begin the answer, or those that end it."""
        found = dict(read)
        begins = b":status" in found
        if begins:
            self._http = found[b":status"]
        try:
            metadata = fields.read_metadata(read)
        except Malformed:
            raise StreamFault(self._stream, ErrorCode.PROTOCOL_ERROR) from None
        if not ended:
            if begins:
                self._initial = metadata
            return
        self._trailing = metadata
        status = found.get(b"grpc-status", b"")
        if status.isdigit():
            code = CODES.get(int(status), grpc.StatusCode.UNKNOWN)
            details = unquote_to_bytes(found.get(b"grpc-message", b"")).decode("utf-8", "replace")
            self._end(code, details)
        else:
            code = _OF_HTTP.get(self._http or b"", grpc.StatusCode.UNKNOWN)
            self._end(code, f"the server ended the call without a status (HTTP {(self._http or b'none').decode()})")

    def on_data(self, payload: bytes, size: int, *, ended: bool) -> None:
        """A part of the answer has come."""
        assert self._inbox is not None
        if self._http not in (b"200", None):
            if ended:
                self.on_fields([], ended=True)
            return
        try:
            self._inbox.feed(payload, size)
        except MessageTooLarge as error:
            self._give_up(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
            return
        except MessageBroken:
            self._give_up(_CODE_UNREADABLE, _UNREADABLE)
            return
        if ended:
            self._end(grpc.StatusCode.UNKNOWN, "the server ended the call without a status")

    def lost(self, reason: str, code: int | None = None) -> None:
        """As the wire says."""
        if code == ErrorCode.REFUSED_STREAM and self._again is not None and self._http is None:
            self._make_again(self._again)
            return
        status = grpc.StatusCode.UNAVAILABLE
        if code is not None:
            known = code in ErrorCode.__members__.values()
            status = _OF_RESET.get(ErrorCode(code), grpc.StatusCode.INTERNAL) if known else grpc.StatusCode.INTERNAL
        self._end(status, reason)

    def _make_again(self, again: Callable[[], None]) -> None:
        self._again = None
        if self._connection is not None:
            self._connection.settle()
        feeding, self._feeding = self._feeding, None
        if feeding is None or feeding.done():
            again()
            return
        # What is half sent has to stop first: a call sends on one stream at a time.
        feeding.add_done_callback(lambda _stopped: None if self.done() else again())
        feeding.cancel()

    def refuse(self, code: grpc.StatusCode, reason: str) -> None:
        """The call cannot be made."""
        self._end(code, reason)

    def _expire(self) -> None:
        self._give_up(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def _give_up(self, code: grpc.StatusCode, details: str) -> None:
        connection = self._connection
        if connection is not None and connection.calls.pop(self._stream, None) is self:
            connection.push(frames.reset(self._stream, ErrorCode.CANCEL))
        self._end(code, details)

    def _end(self, code: grpc.StatusCode, details: str) -> None:
        if self._code is not None:
            return
        self._code, self._details = code, details
        if self._timer is not None:
            self._timer.cancel()
        if self._feeding is not None:
            # Nobody takes what it would send; whoever makes the requests learns so.
            self._feeding.cancel()
        connection = self._connection
        if connection is not None:
            if connection.calls.pop(self._stream, None) is self and not self._local_ended:
                connection.push(frames.reset(self._stream, ErrorCode.NO_ERROR))
            connection.settle()
        if self._inbox is not None:
            self._inbox.close()
        for future in (self._started, self._finished):
            if future is not None and not future.done():
                future.set_result(None)

    # -- for the caller ----------------------------------------------------------------------------------------

    def _error(self) -> BaseException:
        if self._cancelled:
            return asyncio.CancelledError()
        assert self._code is not None
        initial, trailing = grpc.aio.Metadata(*self._initial), grpc.aio.Metadata(*self._trailing)
        return grpc.aio.AioRpcError(self._code, initial, trailing, details=self._details)

    async def _wait(self, future: asyncio.Future[Any]) -> None:
        """Waits; a caller that is cancelled meanwhile gives the call up."""
        try:
            await future
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def _wait_for_stream(self) -> None:
        if self._connection is None and self._code is None:
            if self._started is None:
                self._started = self._loop.create_future()
            await self._wait(self._started)

    async def _wait_for_end(self) -> None:
        if self._code is None:
            await asyncio.shield(self._finished)

    async def _only(self) -> Any:
        if self._code is None:
            await self._wait(self._finished)
        if self._code is not grpc.StatusCode.OK:
            raise self._error()
        raw = self._inbox.only() if self._inbox is not None else None
        if raw is None:
            self._code, self._details = grpc.StatusCode.INTERNAL, "the call needs exactly one response message"
            raise self._error()
        return self._read(raw)

    def _read(self, raw: bytes) -> Any:
        """The message in the bytes of a response; the call fails if there is none in them."""
        if self._decode is None:
            return raw
        try:
            return self._decode(raw)
        except DecodeError:
            self._give_up(_CODE_UNREADABLE, _UNREADABLE)
            # It may have ended well before anybody looked at what it brought.
            self._code, self._details = _CODE_UNREADABLE, _UNREADABLE
            raise self._error() from None

    def __await__(self) -> Generator[Any, Any, Any]:
        """The response. Raises AioRpcError, or CancelledError when the call was given up here."""
        return self._only().__await__()

    def __aiter__(self) -> AsyncIterator[Any]:
        """The responses. Raises AioRpcError behind them unless the status is OK."""
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[Any]:
        while (response := await self.read()) is not grpc.aio.EOF:
            yield response

    async def read(self) -> Any:
        """The next response; `grpc.aio.EOF` behind the last. Raises AioRpcError when the call fails."""
        await self._wait_for_stream()
        raw = None
        if self._inbox is not None:
            try:
                raw = await self._inbox.next()
            except asyncio.CancelledError:
                self.cancel()
                raise
        if raw is not None:
            return self._read(raw)
        if self._code is not grpc.StatusCode.OK:
            raise self._error()
        return grpc.aio.EOF

    async def write(self, request: Any) -> None:
        """Sends a request; waits while the server does not take more. Raises AioRpcError when the call has failed."""
        try:
            await self._write(request)
        except asyncio.InvalidStateError:
            if self._code in (None, grpc.StatusCode.OK):
                raise
            raise self._error() from None

    async def _write(self, request: Any) -> None:
        await self._wait_for_stream()
        connection = self._connection
        if self._code is not None or self._local_ended or connection is None:
            raise asyncio.InvalidStateError("the call has ended")
        raw = request if self._encode is None else self._encode(request)
        try:
            await connection.send(self._stream, self, messages.pack(raw))
        except asyncio.CancelledError:
            # What is half sent cannot be followed by anything.
            self.cancel()
            raise

    def write_now(self, request: bytes) -> bool:
        """Sends a serialised request at once; False when there is no room for it, or the call has ended."""
        connection = self._connection
        data = messages.pack(request)
        if self._code is not None or connection is None or not connection.send_now(self, len(data)):
            return False
        connection.push(frames.frame(frames.DATA, 0, self._stream, data))
        return True

    async def done_writing(self) -> None:
        """Ends the client's side."""
        await self._wait_for_stream()
        if self._code is None and not self._local_ended and self._connection is not None:
            self._local_ended = True
            await self._connection.send(self._stream, self, b"", last=True)

    def cancel(self) -> bool:
        """Gives the call up; whether it was running."""
        if self._code is not None:
            return False
        self._cancelled = True
        self._give_up(grpc.StatusCode.CANCELLED, "Locally cancelled by application!")
        return True

    def cancelled(self) -> bool:
        """Whether it was given up here."""
        return self._cancelled

    def done(self) -> bool:
        """Whether it has ended."""
        return self._code is not None

    def time_remaining(self) -> float | None:
        """Seconds until it ends by itself; None without such a limit."""
        return None if self._deadline is None else max(0.0, self._deadline - self._loop.time())

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Calls `callback` with this call when it has ended."""
        self._finished.add_done_callback(lambda _done: callback(self))

    async def code(self) -> grpc.StatusCode:
        """The status, when the call has ended."""
        await self._wait_for_end()
        assert self._code is not None
        return self._code

    async def details(self) -> str:
        """The status' message, when the call has ended."""
        await self._wait_for_end()
        return self._details

    async def initial_metadata(self) -> Metadata:
        """Metadata that came before the answer, when the call has ended."""
        await self._wait_for_end()
        return self._initial

    async def trailing_metadata(self) -> Metadata:
        """Metadata that came with the status, when the call has ended."""
        await self._wait_for_end()
        return self._trailing


def write_timeout(seconds: float) -> bytes:
    """A `grpc-timeout` of at least so long, with two digits that are not 0: servers then see few different ones."""
    for unit, parts in ((b"u", 1_000_000), (b"m", 1000)):
        if (amount := _rounded(seconds * parts)) <= _AMOUNT_MAX:
            return str(amount).encode() + unit
    return str(min(_rounded(seconds), _AMOUNT_MAX)).encode() + b"S"


def _rounded(amount: float) -> int:
    whole = max(1, math.ceil(amount))
    step = 10 ** max(0, len(str(whole)) - 2)
    return int(-(-whole // step) * step)


_AMOUNT_MAX = 99_999_999
