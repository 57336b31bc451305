"""A server with one service of every shape, and a client that can do what no well-behaved one does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import hpack
import pytest
from steersman.service.http2 import frames
from steersman.service.http2.channel import Channel, Dialing
from steersman.service.server import GrpcServer

SERVICE = "example.Echo"


class Echo:
    """The service's methods, and what is known of the calls that run."""

    def __init__(self) -> None:
        self.running = 0
        self.cancelled = 0
        self.written = 0
        self.summed = 0
        self.gate = asyncio.Event()

    @contextlib.contextmanager
    def _counted(self) -> Any:
        self.running += 1
        try:
            yield
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def one(self, request: bytes, context: Any) -> bytes:
        return request

    async def wait(self, request: bytes, context: Any) -> bytes:
        with self._counted():
            await self.gate.wait()
        return request

    async def refuse(self, request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, request.decode(), (("reason-bin", b"\x00\xff"), ("why", "so")))

    async def fail(self, request: bytes, context: Any) -> bytes:
        raise RuntimeError("a secret of the server")

    async def tell(self, request: bytes, context: Any) -> bytes:
        await context.send_initial_metadata((("begun", "yes"),))
        context.set_trailing_metadata((("left", repr(context.time_remaining() < 3600)),))
        return repr(sorted(context.invocation_metadata())).encode()

    async def many(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        """Answers with `count` messages of `size` bytes."""
        count, size = map(int, request.split())
        with self._counted():
            for _ in range(count):
                yield b"x" * size
                self.written += 1

    async def sum(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        total = 0
        with self._counted():
            async for request in requests:
                total += len(request)
                await self.gate.wait()
            self.summed += 1
        return str(total).encode()

    async def spoil(self, request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("why", "\N{SNOWMAN}"),))
        return request

    async def both(self, requests: AsyncIterator[bytes], context: Any) -> None:
        with self._counted():
            async for request in requests:
                await context.write(request)

    def handler(self) -> grpc.GenericRpcHandler:
        unary, answers = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "One": unary(self.one),
                "Wait": unary(self.wait),
                "Refuse": unary(self.refuse),
                "Fail": unary(self.fail),
                "Tell": unary(self.tell),
                "Spoil": unary(self.spoil),
                "Many": answers(self.many),
                "Sum": grpc.stream_unary_rpc_method_handler(self.sum),
                "Both": grpc.stream_stream_rpc_method_handler(self.both),
            },
        )


class Served:
    """A running server and a channel to it."""

    def __init__(self, server: GrpcServer, echo: Echo, port: int, channel: grpc.aio.Channel) -> None:
        self.server = server
        self.echo = echo
        self.port = port
        self.channel = channel

    def __getattr__(self, name: str) -> Callable[..., Any]:
        shapes = {
            "Many": self.channel.unary_stream,
            "Sum": self.channel.stream_unary,
            "Both": self.channel.stream_stream,
        }
        return shapes.get(name, self.channel.unary_unary)(f"/{SERVICE}/{name}")


def grpcs_channel(address: str) -> grpc.aio.Channel:
    """A channel of gRPC's own client."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    return grpc.aio.insecure_channel(address, options=options)


def own_channel(address: str) -> Channel:
    """A channel of our client."""
    return Channel(address, Dialing())


@pytest.fixture
def open_channel(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """How a test connects; those that are for either client say so in their module."""
    return getattr(request, "param", grpcs_channel)


@pytest.fixture
async def served(open_channel: Callable[[str], Any]) -> AsyncIterator[Served]:
    echo = Echo()
    server = GrpcServer([echo.handler()], services=[], message_bytes_max=4 * 1024 * 1024)
    port = server.listen("127.0.0.1:0", None)
    await server.start()
    async with open_channel(f"127.0.0.1:{port}") as channel:
        try:
            yield Served(server, echo, port, channel)
        finally:
            echo.gate.set()
            await server.stop(0.1)


class RawClient:
    """Speaks frames by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.encoder = hpack.Encoder()

    @classmethod
    async def connect(cls, port: int, *, greet: bool = True) -> RawClient:
        client = cls(*await asyncio.open_connection("127.0.0.1", port))
        if greet:
            client.send(frames.PREFACE + frames.settings({}))
            await client.until(frames.SETTINGS)
        return client

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def block(self, method: str = "One", *extra: tuple[str, str]) -> bytes:
        """The header block of a call."""
        fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", f"/{SERVICE}/{method}"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            *extra,
        ]
        return bytes(self.encoder.encode(fields))

    def open(self, stream: int, method: str = "One", flags: int = frames.FLAG_END_HEADERS) -> None:
        self.send(frames.frame(frames.HEADERS, flags, stream, self.block(method)))

    async def next(self) -> tuple[int, int, int, bytes]:
        """Kind, flags, stream and payload of the next frame; EOFError behind the last."""
        try:
            size, kind, flags, stream = frames.head(await self.reader.readexactly(9), 0)
            return kind, flags, stream, await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise EOFError from None

    async def until(self, kind: int) -> tuple[int, int, int, bytes]:
        """The next frame of a kind."""
        async with asyncio.timeout(10):
            while (got := await self.next())[0] != kind:
                pass
        return got

    async def rest(self) -> list[tuple[int, int, int, bytes]]:
        """All frames until the server closes the connection."""
        got = []
        async with asyncio.timeout(10):
            with contextlib.suppress(EOFError):
                while True:
                    got.append(await self.next())
        return got

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@pytest.fixture
async def raw(served: Served) -> AsyncIterator[RawClient]:
    client = await RawClient.connect(served.port)
    try:
        yield client
    finally:
        await client.close()
