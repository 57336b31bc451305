"""Our client's way to a server that is away, comes back, stops, is full, or misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import grpc
import hpack
import pytest
from steersman.pki import Authority, write_identity
from steersman.service.http2 import channel as channels
from steersman.service.http2 import frames, wire
from steersman.service.http2.channel import Channel, Dialing
from steersman.service.http2.client import write_timeout
from steersman.service.http2.fields import read_timeout
from steersman.service.http2.frames import ErrorCode, frame
from steersman.service.server import GrpcServer
from steersman.service.tls import TLSFiles, client_context

from tests.sdk.http2.conftest import SERVICE, Echo, Served, own_channel
from tests.store.running import free_port
from tests.waiting import eventually

ONE = f"/{SERVICE}/One"
END_HEADERS, END_STREAM = frames.FLAG_END_HEADERS, frames.FLAG_END_STREAM

pytestmark = pytest.mark.parametrize("open_channel", [own_channel], ids=["own"], indirect=True)


@pytest.fixture(autouse=True)
def _either(open_channel: object) -> None:
    """Every test here takes the parameter."""


async def serve(port: int) -> GrpcServer:
    server = GrpcServer([Echo().handler()], services=[])
    server.listen(f"127.0.0.1:{port}", None)
    await server.start()
    return server


async def test_a_server_that_is_away_is_named_with_the_reason() -> None:
    port = free_port()
    async with Channel(f"127.0.0.1:{port}", Dialing()) as channel:
        for _ in range(3):
            with pytest.raises(grpc.aio.AioRpcError, match=f"127.0.0.1:{port}.*refused") as caught:
                await channel.unary_unary(ONE)(b"")
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_patient_call_waits_for_the_server() -> None:
    port = free_port()
    async with Channel(f"127.0.0.1:{port}", Dialing()) as channel:
        calls = [channel.unary_unary(ONE)(b"x", wait_for_ready=True, timeout=20) for _ in range(3)]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(ONE)(b"x", wait_for_ready=True, timeout=0.05)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        server = await serve(port)
        assert [await call for call in calls] == [b"x"] * 3
        await server.stop(0)


async def test_a_server_that_was_replaced_is_found_again() -> None:
    port = free_port()
    async with Channel(f"127.0.0.1:{port}", Dialing()) as channel:
        for _ in range(3):
            server = await serve(port)
            assert await channel.unary_unary(ONE)(b"x", wait_for_ready=True, timeout=20) == b"x"
            await server.stop(0)


async def test_of_several_servers_one_that_answers_is_used() -> None:
    ports = [free_port() for _ in range(3)]
    addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
    async with Channel(addresses, Dialing()) as channel:
        call = channel.unary_unary(ONE)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"x")
        assert all(f":{port}: connection refused" in str(caught.value.details()) for port in ports)
        for turn in (1, 2, 0, 2):
            server = await serve(ports[turn])
            assert await call(b"x", wait_for_ready=True, timeout=20) == b"x"
            await server.stop(0)


async def test_calls_of_a_stopping_server_go_on_and_the_next_ones_do_not_disturb_it(served: Served) -> None:
    running = served.Wait(b"last")
    await eventually(lambda: served.echo.running == 1)
    stopping = asyncio.create_task(served.server.stop(10))
    with pytest.raises(grpc.aio.AioRpcError):
        await served.One(b"")
    served.echo.gate.set()
    assert await running == b"last"
    await stopping


async def test_a_closed_channel_ends_its_calls_and_makes_none(served: Served) -> None:
    waiting, talking = served.Wait(b""), served.Both()
    await eventually(lambda: served.echo.running == 2)
    await served.channel.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await talking.code() is grpc.StatusCode.CANCELLED
    with pytest.raises(grpc.aio.AioRpcError, match="the channel is closed"):
        await served.One(b"")
    await eventually(lambda: served.echo.running == 0)


async def test_a_caller_that_is_cancelled_gives_its_call_up(served: Served) -> None:
    task = asyncio.ensure_future(asyncio.wait_for(served.Wait(b""), 0.05))
    with pytest.raises(TimeoutError):
        await task
    await eventually(lambda: served.echo.cancelled == 1)


@pytest.mark.parametrize("seconds", [1e-6, 0.0005, 0.0123, 0.1, 0.5, 1, 9.99, 10, 99.5, 3600, 1e7])
def test_a_timeout_is_never_told_shorter_than_it_is(seconds: float) -> None:
    told = write_timeout(seconds)
    assert seconds <= read_timeout(told) <= max(seconds * 1.12, 1e-6)
    assert len(told) <= 9


# --- a server by hand -------------------------------------------------------------------------------------------------

Script = Callable[["Hand"], "asyncio.Future[None] | object"]


class Hand:
    """A server that does what a test tells it to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.encoder = hpack.Encoder()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def next(self) -> tuple[int, int, int, bytes]:
        size, kind, flags, stream = frames.head(await self.reader.readexactly(9), 0)
        return kind, flags, stream, await self.reader.readexactly(size)

    async def request(self) -> int:
        """The stream of the next call that has been sent whole."""
        while True:
            kind, flags, stream, _ = await self.next()
            if kind in (frames.DATA, frames.HEADERS) and flags & END_STREAM:
                return stream

    def head(self, stream: int, fields: list[tuple[str, str]], *, last: bool = False) -> None:
        flags = END_HEADERS | (END_STREAM if last else 0)
        self.send(frame(frames.HEADERS, flags, stream, self.encoder.encode(fields)))

    def answer(self, stream: int, body: bytes = b"ok") -> None:
        self.head(stream, [(":status", "200"), ("content-type", "application/grpc")])
        self.send(frame(frames.DATA, 0, stream, b"\x00" + len(body).to_bytes(4, "big") + body))
        self.head(stream, [("grpc-status", "0")], last=True)


@pytest.fixture
async def by_hand() -> AsyncIterator[Callable[..., Channel]]:
    """Starts a server that runs a script for each connection; gives the channel to it."""
    servers: list[asyncio.Server] = []
    channels: list[Channel] = []
    tasks: set[asyncio.Task[None]] = set()

    async def start(script: Callable[[Hand, int], object], *, settings: dict[int, int] | None = None) -> Channel:
        count = 0

        async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal count
            count += 1
            hand = Hand(reader, writer)
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await reader.readexactly(len(frames.PREFACE))
                hand.send(frames.settings(settings or {}))
                await script(hand, count)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
        servers.append(server)
        channel = Channel(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", Dialing())
        channels.append(channel)
        return channel

    yield start
    for channel in channels:
        await channel.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for server in servers:
        server.close()


def status(*fields: tuple[str, str]) -> Callable[[Hand, int], object]:
    async def script(hand: Hand, _count: int) -> None:
        hand.head(await hand.request(), list(fields), last=True)
        await hand.next()

    return script


async def _reset(hand: Hand, _count: int) -> None:
    hand.send(frames.reset(await hand.request(), ErrorCode.ENHANCE_YOUR_CALM))
    await hand.reader.read()


async def _hang_up(hand: Hand, _count: int) -> None:
    await hand.request()


async def _garbage(hand: Hand, _count: int) -> None:
    await hand.request()
    hand.send(b"\xff" * 100)
    await hand.reader.read()


async def _bad_block(hand: Hand, _count: int) -> None:
    hand.send(frame(frames.HEADERS, END_HEADERS, await hand.request(), b"\xff\xff\x7f"))
    await hand.reader.read()


async def _bad_message(hand: Hand, _count: int) -> None:
    stream = await hand.request()
    hand.head(stream, [(":status", "200")])
    hand.send(frame(frames.DATA, 0, stream, b"\x07\x00\x00\x00\x00"))
    await hand.reader.read()


async def _no_message(hand: Hand, _count: int) -> None:
    stream = await hand.request()
    hand.head(stream, [(":status", "200")])
    hand.head(stream, [("grpc-status", "0")], last=True)
    await hand.reader.read()


async def _html(hand: Hand, _count: int) -> None:
    stream = await hand.request()
    hand.head(stream, [(":status", "503"), ("content-type", "text/html")])
    hand.send(frame(frames.DATA, END_STREAM, stream, b"<html>"))
    await hand.reader.read()


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        (
            status((":status", "200"), ("grpc-status", "5"), ("grpc-message", "not%20here%3A%20%C3%A9")),
            "NOT_FOUND",
            "not here: é",
        ),
        (status((":status", "200"), ("grpc-status", "77")), "UNKNOWN", ""),
        (status((":status", "200")), "UNKNOWN", "without a status"),
        (status((":status", "403")), "PERMISSION_DENIED", "HTTP 403"),
        (_html, "UNAVAILABLE", "HTTP 503"),
        (_reset, "RESOURCE_EXHAUSTED", "error code 11"),
        (_hang_up, "UNAVAILABLE", "closed"),
        (_garbage, "UNAVAILABLE", "too large"),
        (_bad_block, "UNAVAILABLE", "cannot be decoded"),
        (_bad_message, "INTERNAL", "cannot be read"),
        (_no_message, "INTERNAL", "exactly one response"),
    ],
)
async def test_whatever_a_server_does_a_call_ends_with_a_status(
    by_hand: Callable[..., Channel], script: Script, code: str, words: str
) -> None:
    channel = await by_hand(script)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(ONE)(b"x", timeout=10)
    assert caught.value.code().name == code
    assert words in str(caught.value.details())


async def test_a_call_that_was_not_looked_at_is_made_again(by_hand: Callable[..., Channel]) -> None:
    async def script(hand: Hand, count: int) -> None:
        stream = await hand.request()
        if count == 1:
            hand.send(frames.goaway(stream - 2 if stream > 1 else 0, ErrorCode.NO_ERROR, "going"))
        elif count == 2:
            hand.answer(stream)
        await hand.reader.read()

    channel = await by_hand(script)
    assert await channel.unary_unary(ONE)(b"x", timeout=10) == b"ok"


async def test_a_call_that_was_refused_half_sent_is_made_again_whole(by_hand: Callable[..., Channel]) -> None:
    async def script(hand: Hand, _count: int) -> None:
        while (await hand.next())[0] != frames.DATA:
            pass
        hand.send(frames.reset(1, ErrorCode.REFUSED_STREAM))
        body = b""
        while True:
            kind, flags, stream, payload = await hand.next()
            if kind == frames.DATA:
                assert stream == 3
                body += payload
                if flags & END_STREAM:
                    break
                hand.send(frames.window_update(3, 10))
        hand.answer(3, body[5:])
        await hand.reader.read()

    channel = await by_hand(script, settings={frames.INITIAL_WINDOW_SIZE: 10})
    assert await channel.unary_unary(ONE)(b"x" * 30, timeout=5) == b"x" * 30


async def test_a_write_that_is_cut_short_ends_its_call(by_hand: Callable[..., Channel]) -> None:
    async def script(hand: Hand, _count: int) -> None:
        await hand.reader.read()

    channel = await by_hand(script, settings={frames.INITIAL_WINDOW_SIZE: 10})
    call = channel.stream_stream(f"/{SERVICE}/Both")()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call.write(b"x" * 100), 0.2)
    assert call.cancelled()


@pytest.mark.parametrize("given_up", [False, True])
async def test_requests_of_a_call_that_has_ended_are_asked_for_no_more(
    by_hand: Callable[..., Channel], *, given_up: bool
) -> None:
    left = asyncio.Event()

    async def requests() -> AsyncIterator[bytes]:
        try:
            yield b"x"
            await asyncio.Event().wait()
        finally:
            left.set()

    async def script(hand: Hand, _count: int) -> None:
        while (await hand.next())[0] != frames.DATA:
            pass
        if not given_up:
            hand.head(1, [(":status", "200"), ("grpc-status", "0")], last=True)
        await hand.reader.read()

    channel = await by_hand(script)
    call = channel.stream_stream(f"/{SERVICE}/Both")(requests(), timeout=0.2 if given_up else 10)
    assert await call.code() is (grpc.StatusCode.DEADLINE_EXCEEDED if given_up else grpc.StatusCode.OK)
    await asyncio.wait_for(left.wait(), 5)


async def test_no_more_calls_at_once_than_the_server_serves(by_hand: Callable[..., Channel]) -> None:
    most = 0

    async def script(hand: Hand, _count: int) -> None:
        nonlocal most
        waiting: list[int] = []
        answered = 0
        while answered < 10:
            kind, _, stream, _ = await hand.next()
            if kind == frames.DATA:
                waiting.append(stream)
                most = max(most, len(waiting))
            if len(waiting) == 2:
                for one in waiting:
                    hand.answer(one)
                answered += 2
                waiting.clear()
        await hand.reader.read()

    channel = await by_hand(script, settings={frames.MAX_CONCURRENT_STREAMS: 2})
    call = channel.unary_unary(ONE)
    assert await asyncio.gather(*(call(b"x", timeout=10) for _ in range(10))) == [b"ok"] * 10
    assert most == 2


async def test_a_server_that_sends_everybody_away_is_not_asked_without_a_pause(by_hand: Callable[..., Channel]) -> None:
    greeted = 0

    async def script(hand: Hand, count: int) -> None:
        nonlocal greeted
        greeted = count
        hand.send(frames.goaway(0, ErrorCode.NO_ERROR, "not here"))
        await hand.reader.read()

    channel = await by_hand(script)
    with pytest.raises(grpc.aio.AioRpcError, match="going away") as caught:
        await channel.unary_unary(ONE)(b"x", timeout=1)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(ONE)(b"x", timeout=0.5, wait_for_ready=True)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert greeted < 20


async def test_a_server_that_greets_too_late_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "CONNECT_S", 0.1)
    ended = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(len(frames.PREFACE))
        with contextlib.suppress(ConnectionError):
            while await reader.read(1000):
                pass
        ended.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    try:
        async with Channel(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", Dialing()) as channel:
            with pytest.raises(grpc.aio.AioRpcError, match="timed out"):
                await channel.unary_unary(ONE)(b"x", timeout=5)
            await asyncio.wait_for(ended.wait(), 3)
    finally:
        server.close()


async def test_a_server_that_says_nothing_is_given_up(
    by_hand: Callable[..., Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "KEEPALIVE_S", 0.05)
    monkeypatch.setattr(wire, "KEEPALIVE_TIMEOUT_S", 0.05)

    async def script(hand: Hand, _count: int) -> None:
        await hand.reader.read()

    channel = await by_hand(script)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(ONE)(b"x", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


# --- certificates -----------------------------------------------------------------------------------------------------


async def test_each_side_proves_itself(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority, stranger = Authority.create("test", now=now), Authority.create("stranger", now=now)
    (tmp_path / "ca.crt").write_bytes(authority.pem())
    write_identity(tmp_path, "server", authority, "server", hosts=["localhost", "other"], now=now)
    server = GrpcServer([Echo().handler()], services=[])
    files = TLSFiles(tmp_path / "server.crt", tmp_path / "server.key", tmp_path / "ca.crt")
    port = server.listen("localhost:0", files)
    await server.start()
    mine = authority.issue("me", now=now)
    try:
        for name in ("", "other"):
            tls = client_context(tmp_path / "ca.crt", *mine)
            async with Channel(f"localhost:{port}", Dialing(tls=tls, server_name=name)) as channel:
                assert await channel.unary_unary(ONE)(b"x", timeout=10) == b"x"
        refused = {
            "another name": Dialing(tls=client_context(authority.pem(), *mine), server_name="somebody"),
            "another authority": Dialing(tls=client_context(stranger.pem(), *mine)),
            "a stranger's certificate": Dialing(tls=client_context(authority.pem(), *stranger.issue("me", now=now))),
            "no certificate": Dialing(tls=client_context(authority.pem())),
            "plain text": Dialing(),
        }
        for what, dialing in refused.items():
            async with Channel(f"localhost:{port}", dialing) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await channel.unary_unary(ONE)(b"x", timeout=10)
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE, what
                assert ("certificate" in str(caught.value.details())) is (what != "plain text"), what
    finally:
        await server.stop(0)
