"""One call: what its handler sees of it, and what of it goes over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from steersman.service.http2 import fields, frames, messages
from steersman.service.http2.fields import Head, Metadata
from steersman.service.http2.frames import ErrorCode, StreamFault
from steersman.service.http2.inbox import Inbox
from steersman.service.http2.messages import MessageBroken, MessageTooLarge

if TYPE_CHECKING:
    from steersman.service.http2.connection import Connection
    from steersman.service.http2.methods import Method

_LAST = frames.FLAG_END_HEADERS | frames.FLAG_END_STREAM
_OK = int(grpc.StatusCode.OK.value[0])


class Call(grpc.aio.ServicerContext[Any, Any]):
    """One call. Handlers get it as their context.

    It ends once: with a status (`finish`), or by the client's giving it up (`lost`), which cancels the handler.
    """

    __slots__ = (
        "_body",
        "_callbacks",
        "_code",
        "_connection",
        "_deadline",
        "_details",
        "_inbox",
        "_initial",
        "_method",
        "_started",
        "_timer",
        "_trailing",
        "ended",
        "head",
        "remote_ended",
        "sending",
        "stream",
        "task",
        "window",
    )

    def __init__(self, connection: Connection, stream: int, head: Head) -> None:
        """A call on `stream` of `connection` that has not begun.

        Attributes:
            window: bytes that may be sent on the stream.
            remote_ended: whether the client has sent all it wants to.
            ended: whether nothing is sent any more.
        """
        self.stream = stream
        self.head = head
        self.window = connection.stream_window
        self.remote_ended = False
        self.ended = False
        self.sending = False
        self._connection = connection
        self._method: Method | None = None
        self.task: asyncio.Task[None] | None = None
        self._inbox = Inbox(connection, stream, head.encoding, connection.limits.message_bytes)
        self._body = 0
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: float | None = None
        self._started = False
        self._initial: Metadata = ()
        self._trailing: Metadata = ()
        self._code = _OK
        self._details = ""
        self._callbacks: list[Callable[[Any], None]] = []

    # -- from the connection -----------------------------------------------------------------------------------

    def begin(self, found: Method | tuple[int, str] | None) -> None:
        """Runs the method as soon as it can, or refuses the call: with a code and a reason, or as not gRPC's."""
        if isinstance(found, tuple):
            self.finish(*found)
            return
        if found is None:
            # Plain HTTP: refused when all of it is here, since such a client does not listen before.
            return
        self._method = found
        timeout_s = self.head.timeout_s
        if timeout_s is not None:
            loop = self._connection.loop
            self._deadline = loop.time() + timeout_s
            self._timer = loop.call_later(timeout_s, self._expire)
        if found.takes_stream:
            self._run()

    def receive(self, data: bytes, size: int, ended: bool) -> None:
        """Takes data, which used `size` bytes of the window; `ended` says that they are the last.

        Raises:
            StreamFault: they are more or fewer than was announced.
        """
        self.remote_ended = ended
        self._body += len(data)
        announced = self.head.content_length
        if announced is not None and (self._body > announced or (ended and self._body < announced)):
            raise StreamFault(self.stream, ErrorCode.PROTOCOL_ERROR)
        if self.ended:
            return
        if self._method is None:
            if ended:
                self.task = self._connection.loop.create_task(self._refuse())
            return
        try:
            self._inbox.feed(data, size)
        except MessageTooLarge as error:
            self._break_off(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
            return
        except MessageBroken:
            self._break_off(grpc.StatusCode.INTERNAL, "a request message cannot be read")
            return
        if ended:
            if self.task is not None and not self._inbox.is_whole:
                self._break_off(grpc.StatusCode.INTERNAL, "the last request message is not whole")
                return
            self._inbox.close()
            if self.task is None:
                self._run_unary()

    def _break_off(self, code: grpc.StatusCode, details: str) -> None:
        """Ends the call for what its client sent; a handler must not take what it has for all there is."""
        self.finish(code.value[0], details)
        self._cancel()

    def _run_unary(self) -> None:
        if self._inbox.only() is None:
            self.finish(grpc.StatusCode.INTERNAL.value[0], "the call needs exactly one request message")
            return
        self._run()

    def _run(self) -> None:
        assert self._method is not None
        self.task = self._connection.loop.create_task(self._method.run(self))

    def _expire(self) -> None:
        self.finish(grpc.StatusCode.DEADLINE_EXCEEDED.value[0], "Deadline Exceeded")
        self._cancel()

    def lost(self, _reason: str, _code: int | None = None) -> None:
        """The client is gone, or wants no answer any more."""
        if not self.ended:
            self.ended = True
            self._code = grpc.StatusCode.CANCELLED.value[0]
            self._clean_up()
        self._cancel()

    def _cancel(self) -> None:
        task = self.task
        if task is not None and not task.done():
            connection = self._connection
            connection.abandoned += 1
            task.add_done_callback(connection.forget_abandoned)
            task.cancel()

    # -- to the client -----------------------------------------------------------------------------------------

    def only_request(self) -> bytes:
        """The request of a call that has just one."""
        request = self._inbox.only()
        assert request is not None
        return request

    async def requests(self) -> AsyncIterator[bytes]:
        """The requests of a call, until the client has sent its last."""
        while (request := await self._inbox.next()) is not None:
            yield request

    def _opening(self) -> bytes:
        """The frame that begins the answer, if that has not been sent."""
        if self._started:
            return b""
        self._started = True
        block = fields.RESPONSE
        if self._initial:
            block += fields.encode_metadata(self._initial)
        return frames.frame(frames.HEADERS, frames.FLAG_END_HEADERS, self.stream, block)

    def answer(self, response: bytes) -> bool:
        """Sends the only response and ends the call; False when there is no room to do it at once."""
        if self.ended:
            return True
        if not self._connection.send_now(self, len(response) + messages.PREFIX_BYTES):
            return False
        data = frames.frame(frames.DATA, 0, self.stream, messages.pack(response))
        self._connection.push(self._opening() + data + self._closing())
        self._end()
        return True

    async def send(self, response: bytes) -> None:
        """Sends a response when there is room for it. Returns at once when the call has ended."""
        await self._send(messages.pack(response))

    async def send_all(self, responses: Iterable[bytes]) -> None:
        """Sends responses together: as `send` for each, with less work."""
        await self._send(b"".join([messages.pack(response) for response in responses]))

    async def _send(self, data: bytes) -> None:
        if self.ended:
            return
        if not self._started:
            self._connection.push(self._opening())
        await self._connection.send(self.stream, self, data)

    async def _refuse(self) -> None:
        """Answers what is not gRPC as HTTP does."""
        self._started = True
        self._connection.push(frames.frame(frames.HEADERS, frames.FLAG_END_HEADERS, self.stream, fields.NOT_GRPC))
        await self._connection.send(self.stream, self, b"This server speaks gRPC.\n", last=True)
        if not self.ended:
            self._end()

    @property
    def is_ok(self) -> bool:
        """Whether nothing has been said against the call."""
        return self._code == _OK

    def _closing(self) -> bytes:
        block = fields.OK
        if self._code != _OK or self._details or self._trailing:
            block = fields.status(self._code, self._details, fields.encode_metadata(self._trailing))
        if not self._started:
            self._started = True
            block = fields.RESPONSE + fields.encode_metadata(self._initial) + block
        return self._pieces(block)

    def _pieces(self, block: bytes) -> bytes:
        """The block in frames that the client takes."""
        limit = self._connection.frame_bytes
        if len(block) <= limit:
            return frames.frame(frames.HEADERS, _LAST, self.stream, block)
        parts = [block[place : place + limit] for place in range(0, len(block), limit)]
        out = [frames.frame(frames.HEADERS, frames.FLAG_END_STREAM, self.stream, parts[0])]
        out += [frames.frame(frames.CONTINUATION, 0, self.stream, part) for part in parts[1:-1]]
        out.append(frames.frame(frames.CONTINUATION, frames.FLAG_END_HEADERS, self.stream, parts[-1]))
        return b"".join(out)

    def finish(self, code: int | None = None, details: str = "") -> None:
        """Ends the call with a status; without one, with what the handler has set. Does nothing when it has ended."""
        if self.ended:
            return
        if code is not None:
            self._code, self._details = code, details
        self._connection.push(self._closing())
        self._end()

    def _end(self) -> None:
        self.ended = True
        if not self.remote_ended:
            # The answer is complete: what the client still wanted to send is not needed.
            self._connection.push(frames.reset(self.stream, ErrorCode.NO_ERROR))
        self._connection.calls.pop(self.stream, None)
        self._clean_up()

    def _clean_up(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for callback in self._callbacks:
            callback(self)
        self._inbox.close()

    # -- what handlers use -------------------------------------------------------------------------------------

    async def read(self) -> Any:
        """The next request; `grpc.aio.EOF` behind the last."""
        message = await self._inbox.next()
        if message is None:
            return grpc.aio.EOF
        assert self._method is not None
        return self._method.decode(message)

    async def write(self, message: Any) -> None:
        """Sends a response; waits while the client does not take more. Raises CancelledError once the call is over."""
        assert self._method is not None
        if self.ended:
            raise asyncio.CancelledError
        await self.send(self._method.encode(message))

    async def write_all(self, responses: Iterable[Any]) -> None:
        """Sends responses together: as `write` for each, with less work."""
        assert self._method is not None
        if self.ended:
            raise asyncio.CancelledError
        encode = self._method.encode
        await self.send_all([encode(response) for response in responses])

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Begins the answer with metadata."""
        if self._started:
            raise ValueError("the answer has begun")
        self._initial = _sendable(initial_metadata)
        self._connection.push(self._opening())

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """Ends the call with a status that is not OK. Raises AbortError, which handlers let through."""
        if trailing_metadata:
            self._trailing = _sendable(trailing_metadata)
        self.finish(code.value[0], details)
        raise grpc.aio.AbortError

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """As `abort`."""
        await self.abort(status.code, status.details, status.trailing_metadata)

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Metadata that goes with the status."""
        self._trailing = _sendable(trailing_metadata)

    def trailing_metadata(self) -> Any:
        """What was set."""
        return self._trailing

    def invocation_metadata(self) -> Any:
        """What the caller sent along."""
        return self.head.metadata

    def set_code(self, code: grpc.StatusCode) -> None:
        """The status that the call ends with when its handler returns."""
        self._code = code.value[0]

    def set_details(self, details: str) -> None:
        """The message of that status."""
        self._details = details

    def code(self) -> Any:
        """The status so far."""
        return self._code

    def details(self) -> str:
        """The message so far."""
        return self._details

    def set_compression(self, compression: grpc.Compression) -> None:
        """Responses are never compressed; asking for it changes nothing."""

    def disable_next_message_compression(self) -> None:
        """Responses are never compressed."""

    def peer(self) -> str:
        """Where the caller is."""
        return self._connection.peer

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """What TLS says about the caller."""
        return self._connection.auth_context()

    def peer_identity_key(self) -> str | None:
        """Which property of `auth_context` names the caller."""
        return "x509_common_name" if "x509_common_name" in self.auth_context() else None

    def peer_identities(self) -> Iterable[bytes] | None:
        """The caller's names."""
        return self.auth_context().get("x509_common_name")

    def time_remaining(self) -> float:
        """Seconds until nobody waits for the answer; infinite without a limit."""
        if self._deadline is None:
            return float("inf")
        return max(0.0, self._deadline - self._connection.loop.time())

    def cancelled(self) -> bool:
        """Whether the client gave the call up."""
        return self.ended and self._code == grpc.StatusCode.CANCELLED.value[0]

    def done(self) -> bool:
        """Whether the call has ended."""
        return self.ended

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Calls `callback` with this context when the call has ended."""
        self._callbacks.append(callback)


def _sendable(metadata: Iterable[tuple[str, str | bytes]]) -> Metadata:
    """Metadata as given. What cannot be sent is refused here: later the call could not be ended with it."""
    kept = tuple(metadata)
    fields.encode_metadata(kept)
    return kept
