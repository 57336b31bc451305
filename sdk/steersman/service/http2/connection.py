"""One client's connection: frames in, calls started, frames out, windows counted both ways."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from cryptography import x509
from cryptography.x509.oid import NameOID

from steersman.service.http2 import frames
from steersman.service.http2.call import Call
from steersman.service.http2.fields import BlockReader, Head, Malformed
from steersman.service.http2.frames import ConnectionFault, ErrorCode, StreamFault
from steersman.service.http2.methods import Methods

log = structlog.get_logger(__name__)

FRAME_BYTES = frames.DEFAULT_FRAME_BYTES
STREAM_WINDOW = 1024 * 1024
CONNECTION_WINDOW = 16 * 1024 * 1024
HEADER_LIST_BYTES = 64 * 1024
STREAMS_MAX = 10_000
# Silence after which a client is asked whether it is there, and how long it may take to answer, in seconds.
KEEPALIVE_S = 10.0
KEEPALIVE_TIMEOUT_S = 5.0
# A client that opens calls and does not read what it is answered may leave this much behind.
UNREAD_BYTES_MAX = 64 * 1024 * 1024
# Calls that a client gave up and whose handlers have not ended; one that makes them faster than they end is stopped.
ABANDONED_MAX = 10_000
LINGER_S = 1.0
_UNAVAILABLE = int(grpc.StatusCode.UNAVAILABLE.value[0])


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may ask for. `message_bytes` is the size of one request message."""

    message_bytes: int
    streams: int = STREAMS_MAX


class Connection(asyncio.Protocol):
    """Serves one client until either side ends it.

    Never raises into the event loop because of what a client sends: what breaks HTTP/2 ends the stream or the
    connection with the code the RFC asks for.
    """

    def __init__(self, methods: Methods, limits: Limits, connections: set[Connection]) -> None:
        """A connection that is not made yet.

        Args:
            methods: what can be called.
            limits: what the client may ask for.
            connections: holds this one from when it is made until it is lost.
        """
        self.methods = methods
        self.limits = limits
        self.calls: dict[int, Call] = {}
        # What may still be sent, and in which pieces.
        self.window = frames.DEFAULT_WINDOW
        self.stream_window = frames.DEFAULT_WINDOW
        self.frame_bytes = frames.DEFAULT_FRAME_BYTES
        self.paused = False
        self.abandoned = 0
        self.closing = False
        self._connections = connections
        self.loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._rest = b""
        self._greeted = False
        self._out: list[bytes] = []
        self._flushing = False
        self._reader = BlockReader(HEADER_LIST_BYTES)
        self._block: tuple[int, int, list[bytes], int] | None = None
        self._last_stream = 0
        self._received = 0
        self._heard = False
        self._asked = False
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._identity: dict[str, list[bytes]] | None = None

    # -- the transport -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio says."""
        self._transport = transport
        self._connections.add(self)
        ours = {
            frames.MAX_CONCURRENT_STREAMS: self.limits.streams,
            frames.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            frames.MAX_HEADER_LIST_SIZE: HEADER_LIST_BYTES,
        }
        self.push(frames.settings(ours) + frames.window_update(0, CONNECTION_WINDOW - frames.DEFAULT_WINDOW))
        self._timer = self.loop.call_later(KEEPALIVE_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio says: every call ends."""
        self.closing = True
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        for call in list(self.calls.values()):
            call.abandon()
        self.calls.clear()
        self._wake()

    def pause_writing(self) -> None:
        """As asyncio says."""
        self.paused = True

    def resume_writing(self) -> None:
        """As asyncio says."""
        self.paused = False
        self._wake()

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
        """Asks a silent client whether it is there; ends the connection of one that does not answer."""
        if self._heard:
            self._heard = self._asked = False
            pause = KEEPALIVE_S
        elif self._asked:
            self._transport.abort()
            return
        else:
            self._asked = True
            self.push(frames.frame(frames.PING, 0, 0, b"steersmn"))
            pause = KEEPALIVE_TIMEOUT_S
        self._timer = self.loop.call_later(pause, self._look)

    # -- out ---------------------------------------------------------------------------------------------------

    def push(self, data: bytes) -> None:
        """Sends `data` with all else that is sent in this turn of the event loop."""
        self._out.append(data)
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if not self._out or self._transport.is_closing():
            self._out.clear()
            return
        self._transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
        self._out.clear()
        if self.paused and self._transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
            log.warning("a client does not read what it asked for", peer=self.peer)
            self._transport.abort()

    async def room(self) -> None:
        """Returns when there may be more room to send than before."""
        waiter: asyncio.Future[None] = self.loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def end(self, code: ErrorCode, reason: str) -> None:
        """Ends the connection, telling the client why."""
        if self.closing:
            return
        self.closing = True
        if code is not ErrorCode.NO_ERROR:
            log.debug("a connection was ended", peer=self.peer, code=code.name, reason=reason)
        self.push(frames.goaway(self._last_stream, code, reason))
        self._flush()
        self._transport.close()
        # A client that does not read would keep what it was told last waiting for ever.
        self.loop.call_later(LINGER_S, self._transport.abort)
        for call in list(self.calls.values()):
            call.abandon()
        self.calls.clear()

    def drain(self) -> list[asyncio.Task[None]]:
        """Takes no more calls; the client opens its next ones elsewhere. Those that run, which it returns, go on."""
        if not self.closing:
            self.limits = Limits(self.limits.message_bytes, streams=0)
            self.push(frames.goaway(self._last_stream, ErrorCode.NO_ERROR, "the server stops"))
        return self._running()

    def cut(self) -> list[asyncio.Task[None]]:
        """Ends the connection and every call on it; returns the handlers that have not ended yet."""
        running = self._running()
        for call in list(self.calls.values()):
            call.finish(_UNAVAILABLE, "the server stops")
            call.abandon()
        self.end(ErrorCode.NO_ERROR, "the server stops")
        return running

    def _running(self) -> list[asyncio.Task[None]]:
        return [call.task for call in self.calls.values() if call.task is not None and not call.task.done()]

    def forget_abandoned(self, _task: asyncio.Task[None]) -> None:
        """The handler of an abandoned call has ended."""
        self.abandoned -= 1

    def finished(self, call: Call) -> None:
        """`call` has ended."""
        self.calls.pop(call.stream, None)

    # -- who is there ------------------------------------------------------------------------------------------

    @property
    def peer(self) -> str:
        """Where the client is, as gRPC writes it."""
        name = self._transport.get_extra_info("peername")
        if isinstance(name, tuple):
            return f"ipv6:[{name[0]}]:{name[1]}" if ":" in name[0] else f"ipv4:{name[0]}:{name[1]}"
        return f"unix:{name or ''}"

    def auth_context(self) -> dict[str, list[bytes]]:
        """What TLS says about the client; nothing about one without a certificate."""
        if self._identity is None:
            self._identity = self._identify()
        return self._identity

    def _identify(self) -> dict[str, list[bytes]]:
        layer = self._transport.get_extra_info("ssl_object")
        if layer is None:
            return {}
        context = {"transport_security_type": [b"ssl"]}
        certificate = layer.getpeercert(binary_form=True)
        if certificate:
            subject = x509.load_der_x509_certificate(certificate).subject
            names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            context["x509_common_name"] = [str(name.value).encode() for name in names]
            context["x509_pem_cert"] = [ssl.DER_cert_to_PEM_cert(certificate).encode()]
        return context

    # -- in ----------------------------------------------------------------------------------------------------

    def _read(self, buffer: bytes) -> int:
        """Takes in the whole frames of `buffer`; returns how many bytes they were."""
        place, end = 0, len(buffer)
        if not self._greeted:
            size = len(frames.PREFACE)
            if not frames.PREFACE.startswith(buffer[:size]):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "this is not HTTP/2")
            if end < size:
                return 0
            # The first frame has to be SETTINGS, which `_greeted` being False stands for until it came.
            place = size
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
            call.abandon()
        self.push(frames.reset(fault.stream, fault.code))

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        self._received += len(payload)
        if self._received >= CONNECTION_WINDOW // 2:
            # Room is given back as soon as data are here: a call that reads slowly must not stop the others.
            self.push(frames.window_update(0, self._received))
            self._received = 0
        call = self.calls.get(stream)
        if call is None:
            if not stream or stream > self._last_stream:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "DATA on an idle stream")
            # Also what a client sent before it heard that its call has ended; it then knows that stream no more.
            raise StreamFault(stream, ErrorCode.STREAM_CLOSED)
        if call.remote_ended:
            raise StreamFault(stream, ErrorCode.STREAM_CLOSED)
        ended = bool(flags & frames.FLAG_END_STREAM)
        call.receive(frames.unpadded(payload, flags) if flags & frames.FLAG_PADDED else payload, len(payload), ended)

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
        if flags & frames.FLAG_END_HEADERS:
            self._on_block(stream, flags, payload, depends_on == stream)
        else:
            self._block = (stream, flags | (0x100 if depends_on == stream else 0), [payload], len(payload))

    def _on_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if self._block is None:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        _, first_flags, parts, size = self._block
        parts.append(payload)
        size += len(payload)
        # Empty ones add nothing and cost time, so that they are counted too.
        if size > HEADER_LIST_BYTES or len(parts) > 64:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "a header block is too large")
        self._block = (stream, first_flags, parts, size)
        if flags & frames.FLAG_END_HEADERS:
            self._block = None
            self._on_block(stream, first_flags, b"".join(parts), bool(first_flags & 0x100))

    def _on_block(self, stream: int, flags: int, block: bytes, depends_on_itself: bool) -> None:
        ended = bool(flags & frames.FLAG_END_STREAM)
        call = self.calls.get(stream)
        if call is not None or stream <= self._last_stream:
            # Trailers; they have to be decoded, since later blocks build on them.
            fields = self._reader.fields(block)
            if call is None:
                raise ConnectionFault(ErrorCode.STREAM_CLOSED, "HEADERS on a closed stream")
            if call.remote_ended:
                raise StreamFault(stream, ErrorCode.STREAM_CLOSED)
            if not ended or any(name.startswith(b":") for name, _ in fields):
                raise StreamFault(stream, ErrorCode.PROTOCOL_ERROR)
            call.receive(b"", 0, True)
            return
        if not stream & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a stream number is even")
        self._last_stream = stream
        try:
            head = self._reader.read(block)
        except Malformed:
            raise StreamFault(stream, ErrorCode.PROTOCOL_ERROR) from None
        if depends_on_itself:
            raise StreamFault(stream, ErrorCode.PROTOCOL_ERROR)
        if len(self.calls) >= self.limits.streams:
            raise StreamFault(stream, ErrorCode.REFUSED_STREAM)
        if self.abandoned > ABANDONED_MAX:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "calls are given up faster than they can be ended")
        self._open(stream, head, ended)

    def _open(self, stream: int, head: Head, ended: bool) -> None:
        call = Call(self, stream, head)
        self.calls[stream] = call
        call.begin(self.methods.find(head))
        if ended:
            call.receive(b"", 0, True)

    def _on_priority(self, _flags: int, stream: int, payload: bytes) -> None:
        if not stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise StreamFault(stream, ErrorCode.FRAME_SIZE_ERROR)
        if frames.read_long(payload[:4], "PRIORITY") & 0x7FFF_FFFF == stream:
            raise StreamFault(stream, ErrorCode.PROTOCOL_ERROR)

    def _on_reset(self, _flags: int, stream: int, payload: bytes) -> None:
        if not stream or stream > self._last_stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "RST_STREAM on an idle stream")
        frames.read_long(payload, "RST_STREAM")
        call = self.calls.pop(stream, None)
        if call is not None:
            call.abandon()

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
            elif name == frames.MAX_FRAME_SIZE:
                self.frame_bytes = value
        self._control(frames.frame(frames.SETTINGS, frames.FLAG_ACK, 0))
        self._wake()

    def _on_push_promise(self, _flags: int, _stream: int, _payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "clients promise nothing")

    def _on_ping(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING of a wrong size")
        if not flags & frames.FLAG_ACK:
            self._control(frames.frame(frames.PING, frames.FLAG_ACK, 0, payload))

    def _control(self, answer: bytes) -> None:
        if self.paused and self._transport.get_write_buffer_size() > UNREAD_BYTES_MAX // 16:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "answers are not read")
        self.push(answer)

    def _on_goaway(self, _flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of a wrong size")

    def _on_window_update(self, _flags: int, stream: int, payload: bytes) -> None:
        size = frames.read_long(payload, "WINDOW_UPDATE") & 0x7FFF_FFFF
        if not stream:
            if not size:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a window grows by nothing")
            self.window += size
            if self.window > frames.WINDOW_LIMIT:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "the window is too large")
        else:
            if stream > self._last_stream:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
            call = self.calls.get(stream)
            if call is None:
                return
            if not size:
                raise StreamFault(stream, ErrorCode.PROTOCOL_ERROR)
            call.window += size
            if call.window > frames.WINDOW_LIMIT:
                raise StreamFault(stream, ErrorCode.FLOW_CONTROL_ERROR)
        if self._waiters:
            self._wake()


_Handler = Callable[[Connection, int, int, bytes], None]
_HANDLERS: dict[int, _Handler] = {
    frames.DATA: Connection._on_data,
    frames.HEADERS: Connection._on_headers,
    frames.PRIORITY: Connection._on_priority,
    frames.RST_STREAM: Connection._on_reset,
    frames.SETTINGS: Connection._on_settings,
    frames.PUSH_PROMISE: Connection._on_push_promise,
    frames.PING: Connection._on_ping,
    frames.GOAWAY: Connection._on_goaway,
    frames.WINDOW_UPDATE: Connection._on_window_update,
    frames.CONTINUATION: Connection._on_continuation,
}
