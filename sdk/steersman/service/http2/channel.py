"""A client's way to one server: connected when it is needed, and again when it was lost."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import grpc

from steersman.retry import Backoff
from steersman.service.http2 import fields
from steersman.service.http2.client import ClientCall, ClientConnection, write_timeout
from steersman.service.http2.fields import literal
from steersman.service.http2.frames import ErrorCode

# How long a connection may take; where there are several servers, one of them.
CONNECT_S = 10.0
CONNECT_ONE_S = 2.0


@dataclass(frozen=True, slots=True)
class Dialing:
    """How a channel connects.

    Attributes:
        tls: certificates; None for plain text.
        server_name: whose certificate is expected, if not that of the address' host.
        message_bytes: largest response message that is taken.
        pause_s, pause_max_s: first and longest pause between attempts to connect.
        silence_max_s: how long the other machine may be silent when the kernel asks it for a sign of life, before the
            connection counts as lost; whole seconds, at least 2; 0: it is not asked.
    """

    tls: ssl.SSLContext | None = None
    server_name: str = ""
    message_bytes: int = 256 * 1024 * 1024
    pause_s: float = 0.05
    pause_max_s: float = 1.0
    silence_max_s: int = 0


def _reason(error: Exception, *, secure: bool) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    reason = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        reason = os.strerror(error.errno).lower() if error.errno > 0 else str(error.strerror)
    if secure and isinstance(error, (ConnectionResetError, BrokenPipeError)):
        # A server whose TLS refuses a certificate most often just hangs up.
        reason += ", as one does that does not accept the certificate of a client, or that it has none"
    return reason


def _watch_over(opened: Any, silence_max_s: int) -> None:
    """Has the kernel ask the other machine for signs of life while nothing is sent, and give it up without any."""
    probes = 2
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, silence_max_s // (probes + 1)))
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, silence_max_s // (probes + 1)))
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, probes)
    # What was sent and is not acknowledged is given up after the same time.
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, silence_max_s * 1000)


class Method:
    """One method of a server, called as those of `grpc.aio` are."""

    def __init__(
        self,
        channel: Channel,
        path: str,
        encode: Callable[[Any], bytes] | None,
        decode: Callable[[bytes], Any] | None,
        *,
        takes_stream: bool,
    ) -> None:
        """A method whose requests are a stream, or just one."""
        self._channel = channel
        self._encode = encode
        self._decode = decode
        self._takes_stream = takes_stream
        self._block = channel.block_of(path)

    def __call__(
        self,
        request: Any = None,
        *,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        wait_for_ready: bool | None = None,
        **_ignored: Any,
    ) -> ClientCall:
        """Makes a call: with one request, with an iterable of them, or without, to `write` them afterwards."""
        call = ClientCall(
            self._channel.loop,
            encode=self._encode,
            decode=self._decode,
            timeout_s=timeout,
        )
        block = self._block
        if timeout is not None:
            block += literal(b"grpc-timeout", write_timeout(timeout))
        if metadata:
            block += fields.encode_metadata(metadata)
        raw = None
        if not self._takes_stream:
            raw = request if self._encode is None else self._encode(request)
            call.retry_with(lambda: self._channel.place(call, block, raw, patient=False))
        self._channel.place(call, block, raw, patient=bool(wait_for_ready))
        if self._takes_stream and request is not None:
            call.feed(request)
        return call


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is: a host and a port, or a path."""

    host: str = ""
    port: str = ""
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Of "host:port" or "unix:/path"."""
        if text.startswith("unix:"):
            return cls(path=text.removeprefix("unix:").removeprefix("//"))
        host, _, port = text.rpartition(":")
        return cls(host=host.removeprefix("[").removesuffix("]"), port=port)

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Channel:
    """The calls to one server, or to whichever of several answers. It stands where a `grpc.aio.Channel` does."""

    def __init__(self, address: str, dialing: Dialing) -> None:
        """To "host:port" or "unix:/path", or to several of them with commas between.

        Nothing is connected before the first call, whose event loop it stays in. When a connection is lost the next
        one goes to the server that answered last, and to the others after it.
        """
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dialing = dialing
        self._addresses = [Address.parse(one.strip()) for one in address.split(",")]
        first = self._addresses[0]
        self._authority = dialing.server_name or ("localhost" if first.path else str(first))
        self._connection: ClientConnection | None = None
        self._all: set[ClientConnection] = set()
        self._connecting: asyncio.Task[None] | None = None
        self._waiting: list[tuple[ClientCall, bytes, bytes | None, bool]] = []
        self._backoff = Backoff(base_s=dialing.pause_s, limit_s=dialing.pause_max_s)
        self._not_before = 0.0
        self._failure = ""
        self._closed = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop it lives in."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def block_of(self, path: str) -> bytes:
        """The part of a method's header block that is the same for every call."""
        scheme = b"\x87" if self._dialing.tls is not None else b"\x86"
        return b"".join(
            (
                b"\x83",
                scheme,
                literal(b":path", path.encode()),
                literal(b":authority", self._authority.encode()),
                literal(b"te", b"trailers"),
                literal(b"content-type", b"application/grpc"),
                literal(b"user-agent", b"steersman"),
            )
        )

    def unary_unary(self, path: str, request_serializer: Any = None, response_deserializer: Any = None) -> Method:
        """A method with one request and one response."""
        return Method(self, path, request_serializer, response_deserializer, takes_stream=False)

    def unary_stream(self, path: str, request_serializer: Any = None, response_deserializer: Any = None) -> Method:
        """A method with one request and a stream of responses."""
        return Method(self, path, request_serializer, response_deserializer, takes_stream=False)

    def stream_unary(self, path: str, request_serializer: Any = None, response_deserializer: Any = None) -> Method:
        """A method with a stream of requests and one response."""
        return Method(self, path, request_serializer, response_deserializer, takes_stream=True)

    def stream_stream(self, path: str, request_serializer: Any = None, response_deserializer: Any = None) -> Method:
        """A method with streams both ways."""
        return Method(self, path, request_serializer, response_deserializer, takes_stream=True)

    def place(self, call: ClientCall, block: bytes, request: bytes | None, *, patient: bool) -> None:
        """Puts a call on the connection, or has it wait for one; one that is not patient fails while there is none."""
        connection = self._connection
        if connection is not None and connection.is_usable and connection.has_room and not self._waiting:
            call.begin(connection, block, request)
        elif self._closed:
            call.refuse(grpc.StatusCode.UNAVAILABLE, "the channel is closed")
        elif not patient and self._connecting is None and self.loop.time() < self._not_before:
            call.refuse(grpc.StatusCode.UNAVAILABLE, self._failure)
        else:
            self._waiting.append((call, block, request, patient))
            if self._connecting is None:
                self._connecting = self.loop.create_task(self._connect())

    async def _connect(self) -> None:
        """Connects, and again, while patient calls wait; lets the calls that wait begin."""
        try:
            while self._waiting and not self._closed:
                connection = self._connection
                if connection is None or not connection.is_usable:
                    await asyncio.sleep(max(0.0, self._not_before - self.loop.time()))
                    if not await self._dial():
                        continue
                    connection = self._connection
                if connection is not None:
                    await self._begin_waiting(connection)
        finally:
            self._connecting = None

    async def _begin_waiting(self, connection: ClientConnection) -> None:
        while self._waiting and connection.is_usable:
            if not connection.has_room:
                await connection.room()
                continue
            call, block, request, _ = self._waiting.pop(0)
            if not call.done():
                call.begin(connection, block, request)

    async def _dial(self) -> bool:
        failures = []
        for _ in range(len(self._addresses)):
            try:
                self._connection = await self._greeted(self._addresses[0])
            except (OSError, ssl.SSLError, TimeoutError, ValueError) as error:
                failures.append(f"{self._addresses[0]}: {_reason(error, secure=self._dialing.tls is not None)}")
                self._addresses.append(self._addresses.pop(0))
                continue
            self._backoff.reset()
            self._not_before = 0.0
            return True
        self._failure = f"failed to connect to {'; '.join(failures)}"
        self._not_before = self.loop.time() + self._backoff.next_s()
        patient = [item for item in self._waiting if item[3] and not item[0].done()]
        for call, _, _, is_patient in self._waiting:
            if not is_patient:
                call.refuse(grpc.StatusCode.UNAVAILABLE, self._failure)
        self._waiting = patient
        return False

    async def _greeted(self, address: Address) -> ClientConnection:
        connection = None
        try:
            async with asyncio.timeout(CONNECT_S if len(self._addresses) == 1 else CONNECT_ONE_S):
                connection = await self._open(address)
                self._all.add(connection)
                await connection.ready
            if not connection.is_usable:
                raise ConnectionResetError("the server is going away")
        except BaseException:
            if connection is not None:
                connection.transport.abort()
            raise
        return connection

    async def _open(self, address: Address) -> ClientConnection:
        def make() -> ClientConnection:
            return ClientConnection(self.loop, self._dialing.message_bytes, self._lost)

        tls = self._dialing.tls
        if address.path:
            name = (self._dialing.server_name or "localhost") if tls is not None else None
            _, connection = await self.loop.create_unix_connection(make, address.path, ssl=tls, server_hostname=name)
        else:
            name = (self._dialing.server_name or address.host) if tls is not None else None
            _, connection = await self.loop.create_connection(
                make, address.host, int(address.port), ssl=tls, server_hostname=name
            )
            if self._dialing.silence_max_s:
                _watch_over(connection.transport.get_extra_info("socket"), self._dialing.silence_max_s)
        return connection

    def _lost(self, connection: ClientConnection) -> None:
        if connection is self._connection:
            self._connection = None
        if connection.closing:
            self._all.discard(connection)

    async def close(self, grace: float | None = None) -> None:
        """Ends every call and the connection. Calls that run have `grace` seconds."""
        self._closed = True
        if grace:
            running = [asyncio.ensure_future(call.code()) for one in self._all for call in one.calls.values()]
            if running:
                await asyncio.wait(running, timeout=grace)
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        for call, _, _, _ in self._waiting:
            call.cancel()
        self._waiting = []
        for connection in list(self._all):
            for running_call in list(connection.calls.values()):
                running_call.cancel()
            connection.end(ErrorCode.NO_ERROR, "")
        self._all.clear()

    async def __aenter__(self) -> Channel:
        """The channel itself."""
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Closes it."""
        await self.close()
