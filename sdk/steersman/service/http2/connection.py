"""One client's connection, as the server has it: calls are started, and end with it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

import grpc
from cryptography import x509
from cryptography.x509.oid import NameOID

from steersman.service.http2 import frames
from steersman.service.http2.call import Call
from steersman.service.http2.fields import Malformed
from steersman.service.http2.frames import ConnectionFault, ErrorCode, StreamFault
from steersman.service.http2.methods import Methods
from steersman.service.http2.wire import Wire

STREAMS_MAX = 10_000
# Calls that a client gave up and whose handlers have not ended; one that makes them faster than they end is stopped.
ABANDONED_MAX = 10_000
_UNAVAILABLE = int(grpc.StatusCode.UNAVAILABLE.value[0])


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may ask for. `message_bytes` is the size of one request message."""

    message_bytes: int
    streams: int = STREAMS_MAX


class Connection(Wire[Call]):
    """Serves one client until either side ends it."""

    def __init__(self, methods: Methods, limits: Limits, connections: set[Connection]) -> None:
        """A connection that is not made yet.

        Args:
            methods: what can be called.
            limits: what the client may ask for.
            connections: holds this one from when it is made until it is lost.

        Attributes:
            abandoned: calls that have ended and whose handlers have not.
        """
        super().__init__(asyncio.get_running_loop(), frames.PREFACE)
        self.methods = methods
        self.limits = limits
        self.abandoned = 0
        self._connections = connections
        self._identity: dict[str, list[bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio says."""
        self._connections.add(self)
        self.begin(transport, b"", {frames.MAX_CONCURRENT_STREAMS: self.limits.streams})

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio says: every call ends."""
        self._connections.discard(self)
        super().connection_lost(exc)

    # -- the end -----------------------------------------------------------------------------------------------

    def drain(self) -> list[asyncio.Task[None]]:
        """Takes no more calls; the client opens its next ones elsewhere. Those that run, which it returns, go on."""
        if not self.closing:
            self.limits = Limits(self.limits.message_bytes, streams=0)
            self.push(frames.goaway(self.last_stream, ErrorCode.NO_ERROR, "the server stops"))
        return self._running()

    def cut(self) -> list[asyncio.Task[None]]:
        """Ends the connection and every call on it; returns the handlers that have not ended yet."""
        running = self._running()
        for call in list(self.calls.values()):
            call.finish(_UNAVAILABLE, "the server stops")
            call.lost("the server stops")
        self.end(ErrorCode.NO_ERROR, "the server stops")
        return running

    def _running(self) -> list[asyncio.Task[None]]:
        return [call.task for call in self.calls.values() if call.task is not None and not call.task.done()]

    def forget_abandoned(self, _task: asyncio.Task[None]) -> None:
        """The handler of an abandoned call has ended."""
        self.abandoned -= 1

    # -- who is there ------------------------------------------------------------------------------------------

    def auth_context(self) -> dict[str, list[bytes]]:
        """What TLS says about the client; nothing about one without a certificate."""
        if self._identity is None:
            self._identity = self._identify()
        return self._identity

    def _identify(self) -> dict[str, list[bytes]]:
        layer = self.transport.get_extra_info("ssl_object")
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

    def on_data(self, stream: int, payload: bytes, size: int, *, ended: bool) -> None:
        """As the wire says."""
        call = self.calls.get(stream)
        if call is None or call.remote_ended:
            # Also what a client sent before it heard that its call has ended; it then knows that stream no more.
            raise StreamFault(stream, ErrorCode.STREAM_CLOSED)
        call.receive(payload, size, ended)

    def on_block(self, stream: int, block: bytes, *, ended: bool, depends_on_itself: bool) -> None:
        """As the wire says."""
        call = self.calls.get(stream)
        if call is not None or stream <= self.last_stream:
            self._trailers(call, stream, block, ended)
            return
        if not stream & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a stream number is even")
        self.last_stream = stream
        try:
            head = self.reader.read(block)
        except Malformed:
            raise StreamFault(stream, ErrorCode.PROTOCOL_ERROR) from None
        if depends_on_itself:
            raise StreamFault(stream, ErrorCode.PROTOCOL_ERROR)
        if len(self.calls) >= self.limits.streams:
            raise StreamFault(stream, ErrorCode.REFUSED_STREAM)
        if self.abandoned > ABANDONED_MAX:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "calls are given up faster than they can be ended")
        self.calls[stream] = call = Call(self, stream, head)
        call.begin(self.methods.find(head))
        if ended:
            call.receive(b"", 0, True)

    def _trailers(self, call: Call | None, stream: int, block: bytes, ended: bool) -> None:
        # They have to be decoded even so, since later blocks build on them.
        fields = self.reader.fields(block)
        if call is None:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, "HEADERS on a closed stream")
        if call.remote_ended:
            raise StreamFault(stream, ErrorCode.STREAM_CLOSED)
        if not ended or any(name.startswith(b":") for name, _ in fields):
            raise StreamFault(stream, ErrorCode.PROTOCOL_ERROR)
        call.receive(b"", 0, True)
