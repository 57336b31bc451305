"""What both ends of a connection do alike: frames in and out, windows counted both ways, silence noticed."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from steersman.log import get_logger
from steersman.service.http2 import frames
from steersman.service.http2.fields import BlockReader
from steersman.service.http2.frames import ConnectionFault, ErrorCode, StreamFault

log = get_logger(__name__)

FRAME_BYTES = frames.DEFAULT_FRAME_BYTES
STREAM_WINDOW = 1024 * 1024
CONNECTION_WINDOW = 16 * 1024 * 1024
HEADER_LIST_BYTES = 64 * 1024
# Pieces of one header block: empty ones add nothing and cost time, so that they are counted too.
BLOCK_PIECES_MAX = 64
# Silence after which the other side is asked whether it is there, and how long it may take to answer, in seconds.
KEEPALIVE_S = 10.0
KEEPALIVE_TIMEOUT_S = 5.0
# Another side that asks and does not read the answers may leave this much behind.
UNREAD_BYTES_MAX = 64 * 1024 * 1024
# So many questions of the other side are answered while it does not read.
UNREAD_ANSWERS_MAX = 10_000
FLUSH_BYTES = 16 * 1024
# How long the last words of a connection may take to leave, in seconds.
LINGER_S = 1.0
_SELF_DEPENDENT = 0x100


class Exchange(Protocol):
    """One call, as the wire sees it.

    Attributes:
        window: bytes that may be sent on its stream.
        sending: whether a message is half sent.
    """

    window: int
    sending: bool

    def lost(self, reason: str, code: int | None = None) -> None:
        """Nothing more can be sent or received; `code` is that of the RST_STREAM that said so."""
        ...


CallT = TypeVar("CallT", bound=Exchange)


class Wire(asyncio.Protocol, abc.ABC, Generic[CallT]):
    """One end of a connection.

    Never raises into the event loop because of what the other side sends: what breaks HTTP/2 ends the stream or the
    connection with the code the RFC asks for.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, expected: bytes) -> None:
        """An end that is not connected yet.

        Args:
            loop: where it runs.
            expected: what the other side has to begin with, before its SETTINGS.

        Attributes:
            calls: those that run, by stream.
            window: bytes that may be sent on the connection; `stream_window` on a new stream, `frame_bytes` in a frame.
            paused: whether much of what was sent has not left yet.
            closing: whether nothing is read any more.
            last_stream: the highest stream that was opened.
        """
        self.loop = loop
        self.calls: dict[int, CallT] = {}
        self.window = frames.DEFAULT_WINDOW
        self.stream_window = frames.DEFAULT_WINDOW
        self.frame_bytes = frames.DEFAULT_FRAME_BYTES
        self.paused = False
        self.closing = False
        self.last_stream = 0
        self.reader = BlockReader(HEADER_LIST_BYTES)
        self.transport: Any = None
        self._expected = expected
        self._rest = b""
        self._greeted = False
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._unread_answers = 0
        self._flushing = False
        self._block: tuple[int, int, list[bytes], int] | None = None
        self._received = 0
        self._heard = False
        self._asked = False
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: list[asyncio.Future[None]] = []

    # -- what the two ends do differently ----------------------------------------------------------------------

    @abc.abstractmethod
    def on_block(self, stream: int, block: bytes, *, ended: bool, depends_on_itself: bool) -> None:
        """A whole header block has come."""

    @abc.abstractmethod
    def on_data(self, stream: int, payload: bytes, size: int, *, ended: bool) -> None:
        """Data have come; they used `size` bytes of the windows."""

    def on_streams_max(self, streams: int) -> None:
        """The other side says how many streams it serves at once."""

    def on_settings(self) -> None:
        """The other side's settings are in force."""

    def on_goaway(self, last_stream: int, reason: str) -> None:
        """The other side takes no streams behind `last_stream`."""

    # -- the transport -----------------------------------------------------------------------------------------

    def begin(self, transport: asyncio.BaseTransport, first: bytes, settings: dict[int, int]) -> None:
        """Sends what a connection begins with."""
        self.transport = transport
        ours = {frames.INITIAL_WINDOW_SIZE: STREAM_WINDOW, frames.MAX_HEADER_LIST_SIZE: HEADER_LIST_BYTES, **settings}
        grown = frames.window_update(0, CONNECTION_WINDOW - frames.DEFAULT_WINDOW)
        self.push(first + frames.settings(ours) + grown)
        self._timer = self.loop.call_later(KEEPALIVE_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio says: every call ends."""
        self.closing = True
        if self._timer is not None:
            self._timer.cancel()
        self.lose_all(f"the connection was lost: {exc}" if exc else "the connection was closed")

    def lose_all(self, reason: str) -> None:
        """Ends every call that runs."""
        calls, self.calls = list(self.calls.values()), {}
        for call in calls:
            call.lost(reason)
        self.wake()

    def pause_writing(self) -> None:
        """As asyncio says."""
        self.paused = True

    def resume_writing(self) -> None:
        """As asyncio says."""
        self.paused = False
        self._unread_answers = 0
        self.wake()

    def data_received(self, data: bytes) -> None:
        """As asyncio says."""
        if self.closing:
            return
        self._heard = True
        buffer = self._rest + data if self._rest else data
        try:
            self._rest = buffer[self._read(buffer) :]
        except ConnectionFault as fault:
            self.end(fault.code, fault.reason)

    def _look(self) -> None:
        """Asks a silent other side whether it is there; ends the connection to one that does not answer."""
        if self._heard:
            self._heard = self._asked = False
            pause = KEEPALIVE_S
        elif self._asked:
            self.transport.abort()
            return
        else:
            self._asked = True
            self.push(frames.frame(frames.PING, 0, 0, b"steersmn"))
            pause = KEEPALIVE_TIMEOUT_S
        self._timer = self.loop.call_later(pause, self._look)

    @property
    def peer(self) -> str:
        """Where the other side is, as gRPC writes it."""
        name = self.transport.get_extra_info("peername")
        if isinstance(name, tuple):
            return f"ipv6:[{name[0]}]:{name[1]}" if ":" in name[0] else f"ipv4:{name[0]}:{name[1]}"
        return f"unix:{name or ''}"

    # -- out ---------------------------------------------------------------------------------------------------

    def push(self, data: bytes) -> None:
        """Sends `data` with all else that is sent in this turn of the event loop."""
        self._out.append(data)
        self._out_bytes += len(data)
        if self._out_bytes >= FLUSH_BYTES:
            # So that whoever sends much learns in time whether it leaves.
            self.flush()
        elif not self._flushing:
            self._flushing = True
            self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Sends what was pushed."""
        self._flushing = False
        self._out_bytes = 0
        if not self._out or self.transport.is_closing():
            self._out.clear()
            return
        self.transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
        self._out.clear()
        if self.paused and self.transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
            log.warning("the other side does not read what it asked for", peer=self.peer)
            self.transport.abort()

    async def send(self, stream: int, call: CallT, data: bytes, *, last: bool = False) -> None:
        """Sends data in the pieces that the windows allow; `last` ends the stream.

        Returns early when the call is not on its stream any more.
        """
        while call.sending:
            await self.room()
        call.sending = True
        place, size = 0, len(data)
        try:
            while self.calls.get(stream) is call:
                room = min(call.window, self.window, self.frame_bytes)
                if self.paused or (room <= 0 and size):
                    await self.room()
                    continue
                part = data[place : place + room] if place or room < size else data
                place += len(part)
                call.window -= len(part)
                self.window -= len(part)
                ends = last and place == size
                self.push(frames.frame(frames.DATA, frames.FLAG_END_STREAM if ends else 0, stream, part))
                if place == size:
                    return
        finally:
            call.sending = False
            self.wake()

    def send_now(self, call: CallT, size: int) -> bool:
        """Whether `size` bytes may be sent on the call's stream at once, in one frame; they then count as sent."""
        if size > min(call.window, self.window, self.frame_bytes) or self.paused or call.sending:
            return False
        call.window -= size
        self.window -= size
        return True

    async def room(self) -> None:
        """Returns when there may be more room to send than before."""
        waiter: asyncio.Future[None] = self.loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def wake(self) -> None:
        """Lets those go on who wait for room."""
        if not self._waiters:
            return
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def end(self, code: ErrorCode, reason: str) -> None:
        """Ends the connection, telling the other side why."""
        if self.closing:
            return
        self.closing = True
        if code is not ErrorCode.NO_ERROR:
            log.debug("a connection was ended", peer=self.peer, code=code.name, reason=reason)
        self.push(frames.goaway(self.last_stream, code, reason))
        self.flush()
        self.transport.close()
        # One that does not read would keep what it was told last waiting for ever.
        self.loop.call_later(LINGER_S, self.transport.abort)
        self.lose_all(reason)

    # -- in ----------------------------------------------------------------------------------------------------

    def _read(self, buffer: bytes) -> int:
        """Takes in the whole frames of `buffer`; returns how many bytes they were."""
        place, end = 0, len(buffer)
        if not self._greeted:
            place = len(self._expected)
            if not self._expected.startswith(buffer[:place]):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "this is not HTTP/2")
            if end - place < frames.FRAME_HEAD_BYTES:
                return 0
            if frames.head(buffer, place)[1] != frames.SETTINGS:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "no SETTINGS at the beginning")
            self._greeted = True
        while end - place >= frames.FRAME_HEAD_BYTES:
            size, kind, flags, stream = frames.head(buffer, place)
            if size > FRAME_BYTES:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a frame is too large")
            begin = place + frames.FRAME_HEAD_BYTES
            if end - begin < size:
                break
            place = begin + size
            if self._block is not None and (kind != frames.CONTINUATION or stream != self._block[0]):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a header block was interrupted")
            handler = _HANDLERS.get(kind)
            if handler is None:
                continue
            try:
                handler(self, flags, stream, buffer[begin:place])
            except StreamFault as fault:
                self._reset(fault)
            if self.closing:
                return end
        return place

    def _reset(self, fault: StreamFault) -> None:
        call = self.calls.pop(fault.stream, None)
        if call is not None:
            call.lost(str(fault))
        self.push(frames.reset(fault.stream, fault.code))

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        self._received += len(payload)
        if self._received >= CONNECTION_WINDOW // 2:
            # Room is given back as soon as data are here: a call that reads slowly must not stop the others.
            self.push(frames.window_update(0, self._received))
            self._received = 0
        if not stream or stream > self.last_stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "DATA on an idle stream")
        body = frames.unpadded(payload, flags) if flags & frames.FLAG_PADDED else payload
        self.on_data(stream, body, len(payload), ended=bool(flags & frames.FLAG_END_STREAM))

    def _on_headers(self, flags: int, stream: int, payload: bytes) -> None:
        if not stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        if flags & frames.FLAG_PADDED:
            payload = frames.unpadded(payload, flags)
        depends_on = None
        if flags & frames.FLAG_PRIORITY:
            if len(payload) < 5:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS without the priority they announce")
            depends_on = frames.read_long(payload[:4], "PRIORITY") & 0x7FFF_FFFF
            payload = payload[5:]
        if depends_on == stream:
            flags |= _SELF_DEPENDENT
        if flags & frames.FLAG_END_HEADERS:
            self._take_block(stream, flags, payload)
        else:
            self._block = (stream, flags, [payload], len(payload))

    def _on_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if self._block is None:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        _, first_flags, parts, size = self._block
        parts.append(payload)
        size += len(payload)
        if size > HEADER_LIST_BYTES or len(parts) > BLOCK_PIECES_MAX:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "a header block is too large")
        self._block = (stream, first_flags, parts, size)
        if flags & frames.FLAG_END_HEADERS:
            self._block = None
            self._take_block(stream, first_flags, b"".join(parts))

    def _take_block(self, stream: int, flags: int, block: bytes) -> None:
        self.on_block(
            stream,
            block,
            ended=bool(flags & frames.FLAG_END_STREAM),
            depends_on_itself=bool(flags & _SELF_DEPENDENT),
        )

    def _on_priority(self, _flags: int, stream: int, payload: bytes) -> None:
        if not stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise StreamFault(stream, ErrorCode.FRAME_SIZE_ERROR)
        if frames.read_long(payload[:4], "PRIORITY") & 0x7FFF_FFFF == stream:
            raise StreamFault(stream, ErrorCode.PROTOCOL_ERROR)

    def _on_reset(self, _flags: int, stream: int, payload: bytes) -> None:
        if not stream or stream > self.last_stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "RST_STREAM on an idle stream")
        code = frames.read_long(payload, "RST_STREAM")
        call = self.calls.pop(stream, None)
        if call is not None:
            call.lost(f"the stream was reset with error code {code}", code)

    def _on_settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & frames.FLAG_ACK:
            if payload:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement with settings")
            return
        for name, value in frames.read_settings(payload):
            if name == frames.INITIAL_WINDOW_SIZE:
                change = value - self.stream_window
                self.stream_window = value
                for call in self.calls.values():
                    call.window += change
                    if call.window > frames.WINDOW_LIMIT:
                        raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a window is too large")
            elif name == frames.MAX_CONCURRENT_STREAMS:
                self.on_streams_max(value)
            elif name == frames.MAX_FRAME_SIZE:
                self.frame_bytes = value
        self._control(frames.frame(frames.SETTINGS, frames.FLAG_ACK, 0))
        self.on_settings()
        self.wake()

    def _on_push_promise(self, _flags: int, _stream: int, _payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "nothing may be promised here")

    def _on_ping(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING of a wrong size")
        if not flags & frames.FLAG_ACK:
            self._control(frames.frame(frames.PING, frames.FLAG_ACK, 0, payload))

    def _control(self, answer: bytes) -> None:
        if self.paused:
            self._unread_answers += 1
            if self._unread_answers > UNREAD_ANSWERS_MAX:
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "answers are not read")
        self.push(answer)

    def _on_goaway(self, _flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of a wrong size")
        last_stream = frames.read_long(payload[:4], "GOAWAY") & 0x7FFF_FFFF
        self.on_goaway(last_stream, payload[8:].decode("utf-8", "replace"))

    def _on_window_update(self, _flags: int, stream: int, payload: bytes) -> None:
        size = frames.read_long(payload, "WINDOW_UPDATE") & 0x7FFF_FFFF
        if not stream:
            if not size:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a window grows by nothing")
            self.window += size
            if self.window > frames.WINDOW_LIMIT:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "the window is too large")
        else:
            if stream > self.last_stream:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
            call = self.calls.get(stream)
            if call is None:
                return
            if not size:
                raise StreamFault(stream, ErrorCode.PROTOCOL_ERROR)
            call.window += size
            if call.window > frames.WINDOW_LIMIT:
                raise StreamFault(stream, ErrorCode.FLOW_CONTROL_ERROR)
        self.wake()


_HANDLERS: dict[int, Callable[[Wire[Any], int, int, bytes], None]] = {
    frames.DATA: Wire._on_data,
    frames.HEADERS: Wire._on_headers,
    frames.PRIORITY: Wire._on_priority,
    frames.RST_STREAM: Wire._on_reset,
    frames.SETTINGS: Wire._on_settings,
    frames.PUSH_PROMISE: Wire._on_push_promise,
    frames.PING: Wire._on_ping,
    frames.GOAWAY: Wire._on_goaway,
    frames.WINDOW_UPDATE: Wire._on_window_update,
    frames.CONTINUATION: Wire._on_continuation,
}
