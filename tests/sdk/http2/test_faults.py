"""What breaks HTTP/2 ends the stream or the connection with the code the RFC asks for, and costs others nothing."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from steersman.service.http2 import frames, wire
from steersman.service.http2.frames import ErrorCode, frame

from tests.sdk.http2.conftest import RawClient, Served
from tests.waiting import eventually

END_HEADERS, END_STREAM = frames.FLAG_END_HEADERS, frames.FLAG_END_STREAM
MESSAGE = b"\x00\x00\x00\x00\x02hi"

OF_CONNECTION = {
    "DATA on an idle stream": (frame(frames.DATA, 0, 1, b"x"), ErrorCode.PROTOCOL_ERROR),
    "DATA on stream 0": (frame(frames.DATA, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
    "HEADERS on stream 0": (frame(frames.HEADERS, END_HEADERS, 0, b"\x88"), ErrorCode.PROTOCOL_ERROR),
    "HEADERS on an even stream": (frame(frames.HEADERS, END_HEADERS, 2, b"\x88"), ErrorCode.PROTOCOL_ERROR),
    "HEADERS with a wrong index": (frame(frames.HEADERS, END_HEADERS, 1, b"\xff\xff\x7f"), ErrorCode.COMPRESSION_ERROR),
    "HEADERS shorter than their priority": (
        frame(frames.HEADERS, END_HEADERS | frames.FLAG_PRIORITY, 1, b"\x00"),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "padding longer than the frame": (
        frame(frames.HEADERS, END_HEADERS | frames.FLAG_PADDED, 1, b"\x09x"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "CONTINUATION of nothing": (frame(frames.CONTINUATION, END_HEADERS, 1, b""), ErrorCode.PROTOCOL_ERROR),
    "a block that is interrupted": (
        frame(frames.HEADERS, 0, 1, b"") + frame(frames.PING, 0, 0, bytes(8)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a block in endless pieces": (
        frame(frames.HEADERS, 0, 1, b"") + frame(frames.CONTINUATION, 0, 1, b"") * 100,
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "PUSH_PROMISE": (frame(frames.PUSH_PROMISE, END_HEADERS, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    "PING on a stream": (frame(frames.PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "PING of a wrong size": (frame(frames.PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    "SETTINGS on a stream": (frame(frames.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "SETTINGS of a wrong size": (frame(frames.SETTINGS, 0, 0, b"x"), ErrorCode.FRAME_SIZE_ERROR),
    "SETTINGS acknowledged with some": (
        frame(frames.SETTINGS, frames.FLAG_ACK, 0, bytes(6)),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "ENABLE_PUSH of 2": (frames.settings({frames.ENABLE_PUSH: 2}), ErrorCode.PROTOCOL_ERROR),
    "a window of 2^31": (frames.settings({frames.INITIAL_WINDOW_SIZE: 1 << 31}), ErrorCode.FLOW_CONTROL_ERROR),
    "frames of one byte": (frames.settings({frames.MAX_FRAME_SIZE: 1}), ErrorCode.PROTOCOL_ERROR),
    "GOAWAY on a stream": (frame(frames.GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "GOAWAY of a wrong size": (frame(frames.GOAWAY, 0, 0, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),
    "RST_STREAM of an idle stream": (frames.reset(1, ErrorCode.CANCEL), ErrorCode.PROTOCOL_ERROR),
    "WINDOW_UPDATE by nothing": (frames.window_update(0, 0), ErrorCode.PROTOCOL_ERROR),
    "WINDOW_UPDATE of a wrong size": (frame(frames.WINDOW_UPDATE, 0, 0, b"x"), ErrorCode.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE of an idle stream": (frames.window_update(1, 1), ErrorCode.PROTOCOL_ERROR),
    "a window beyond its limit": (frames.window_update(0, frames.WINDOW_LIMIT), ErrorCode.FLOW_CONTROL_ERROR),
    "PRIORITY on stream 0": (frame(frames.PRIORITY, 0, 0, bytes(5)), ErrorCode.PROTOCOL_ERROR),
    "a frame over the limit": (
        frame(frames.DATA, 0, 1, bytes(frames.DEFAULT_FRAME_BYTES + 1)),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
}


@pytest.mark.parametrize("fault", OF_CONNECTION)
async def test_a_fault_ends_the_connection_with_its_code(served: Served, raw: RawClient, fault: str) -> None:
    data, code = OF_CONNECTION[fault]
    raw.send(data)
    _, _, _, payload = await raw.until(frames.GOAWAY)
    assert ErrorCode(int.from_bytes(payload[4:8], "big")) is code, payload[8:]
    assert await raw.rest() == []
    assert await served.One(b"others go on") == b"others go on"


@pytest.mark.parametrize(
    "beginning", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.1\r\n\r\n"]
)
async def test_what_is_not_http2_is_hung_up_on(served: Served, beginning: bytes) -> None:
    client = await RawClient.connect(served.port, greet=False)
    client.send(beginning)
    kinds = [kind for kind, *_ in await client.rest()]
    assert kinds[-1] == frames.GOAWAY
    await client.close()


async def test_the_preface_may_come_byte_by_byte(served: Served) -> None:
    client = await RawClient.connect(served.port, greet=False)
    everything = frames.PREFACE + frames.settings({})
    for place in range(len(everything)):
        client.send(everything[place : place + 1])
        await client.writer.drain()
    client.open(1)
    call = frame(frames.DATA, END_STREAM, 1, MESSAGE)
    for place in range(len(call)):
        client.send(call[place : place + 1])
        await client.writer.drain()
    assert (await client.until(frames.DATA))[3] == MESSAGE
    await client.close()


BLOCKS = {
    "an upper-case name": (("Who", "me"),),
    "a field of the connection": (("connection", "close"),),
    "trailers of another kind": (("te", "gzip"),),
    "a pseudo field behind others": ((":authority", "x"),),
    "an unknown pseudo field": ((":what", "x"),),
    "a length that is no number": (("content-length", "two"),),
    "metadata that is no base64": (("x-bin", "%%%%%"),),
}


@pytest.mark.parametrize("what", BLOCKS)
async def test_a_malformed_block_resets_its_stream_alone(raw: RawClient, what: str) -> None:
    encoder_table = raw.encoder
    encoder_table.header_table_size = 0
    raw.send(frame(frames.HEADERS, END_HEADERS, 1, raw.block("One", *BLOCKS[what])))
    _, _, stream, payload = await raw.until(frames.RST_STREAM)
    assert (stream, ErrorCode(int.from_bytes(payload, "big"))) == (1, ErrorCode.PROTOCOL_ERROR)
    raw.open(3)
    raw.send(frame(frames.DATA, END_STREAM, 3, MESSAGE))
    assert (await raw.until(frames.DATA))[2] == 3


async def test_more_or_less_than_announced_resets_the_stream(raw: RawClient) -> None:
    for stream, body in ((1, MESSAGE), (3, b"")):
        raw.send(frame(frames.HEADERS, END_HEADERS, stream, raw.block("One", ("content-length", "3"))))
        raw.send(frame(frames.DATA, END_STREAM, stream, body))
        assert (await raw.until(frames.RST_STREAM))[2:] == (stream, b"\x00\x00\x00\x01")


async def test_data_behind_the_end_are_refused(raw: RawClient) -> None:
    raw.open(1, "Wait")
    raw.send(frame(frames.DATA, END_STREAM, 1, MESSAGE) + frame(frames.DATA, 0, 1, b"x"))
    assert (await raw.until(frames.RST_STREAM))[3] == b"\x00\x00\x00\x05"


async def test_a_stream_number_is_not_used_twice(raw: RawClient) -> None:
    raw.open(3)
    raw.send(frame(frames.DATA, END_STREAM, 3, MESSAGE))
    await raw.until(frames.DATA)
    raw.open(1)
    assert int.from_bytes((await raw.until(frames.GOAWAY))[3][4:8], "big") == ErrorCode.STREAM_CLOSED


MESSAGES = {
    "no message": (b"", b"13"),
    "half a message": (MESSAGE[:-1], b"13"),
    "two messages": (MESSAGE * 2, b"13"),
    "an unknown flag": (b"\x02" + MESSAGE[1:], b"13"),
    "compressed without saying how": (b"\x01" + MESSAGE[1:], b"13"),
    "a length of four gigabytes": (b"\x00\xff\xff\xff\xff", b"8"),
}


@pytest.mark.parametrize("what", MESSAGES)
async def test_a_request_that_is_no_message_gets_a_status(raw: RawClient, what: str) -> None:
    body, status = MESSAGES[what]
    raw.open(1)
    raw.send(frame(frames.DATA, END_STREAM, 1, body))
    block = (await raw.until(frames.HEADERS))[3]
    assert b"grpc-status" + bytes((len(status),)) + status in block


UNREADABLE = {
    "a length of four gigabytes": (b"\x00\xff\xff\xff\xff", 0, b"8"),
    "an unknown flag": (b"\x02" + MESSAGE[1:], 0, b"13"),
    "half a message": (MESSAGE[:-1], END_STREAM, b"13"),
}


@pytest.mark.parametrize("what", UNREADABLE)
async def test_requests_that_break_off_are_not_taken_for_all(served: Served, raw: RawClient, what: str) -> None:
    body, last, status = UNREADABLE[what]
    served.echo.gate.set()
    raw.open(1, "Sum")
    raw.send(frame(frames.DATA, 0, 1, MESSAGE))
    await eventually(lambda: served.echo.running == 1)
    raw.send(frame(frames.DATA, last, 1, body))
    block = (await raw.until(frames.HEADERS))[3]
    assert b"grpc-status" + bytes((len(status),)) + status in block
    await eventually(lambda: served.echo.running == 0)
    assert (served.echo.summed, served.echo.cancelled) == (0, 1)


@pytest.mark.parametrize("message", [b"\x00\x00\x00\x3f\xfb" + bytes(16_379), bytes(5) * 3000])
async def test_a_client_that_does_not_keep_to_a_window_loses_its_stream(raw: RawClient, message: bytes) -> None:
    raw.open(1, "Sum")
    for _ in range(3 * wire.STREAM_WINDOW // len(message)):
        raw.send(frame(frames.DATA, 0, 1, message))
    _, _, stream, payload = await raw.until(frames.RST_STREAM)
    assert (stream, ErrorCode(int.from_bytes(payload, "big"))) == (1, ErrorCode.FLOW_CONTROL_ERROR)


async def test_a_small_bomb_does_not_grow(raw: RawClient) -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    raw.send(frame(frames.HEADERS, END_HEADERS, 1, raw.block("One", ("grpc-encoding", "gzip"))))
    body = b"\x01" + len(bomb).to_bytes(4, "big") + bomb
    for place in range(0, len(body), 16_000):
        last = END_STREAM if place + 16_000 >= len(body) else 0
        raw.send(frame(frames.DATA, last, 1, body[place : place + 16_000]))
    assert b"grpc-status\x018" in (await raw.until(frames.HEADERS))[3]


async def test_plain_http_is_told_what_this_is(raw: RawClient) -> None:
    fields = [(":method", "GET"), (":scheme", "http"), (":path", "/")]
    raw.send(frame(frames.HEADERS, END_HEADERS | END_STREAM, 1, raw.encoder.encode(fields)))
    assert b"415" in (await raw.until(frames.HEADERS))[3]
    assert (await raw.until(frames.DATA))[3] == b"This server speaks gRPC.\n"


async def test_a_changed_table_changes_what_a_known_block_means(raw: RawClient) -> None:
    # The same byte names whatever the table's newest field is.
    def opened(stream: int, block: bytes) -> None:
        raw.send(frame(frames.HEADERS, END_HEADERS, stream, block))
        raw.send(frame(frames.DATA, END_STREAM, stream, MESSAGE))

    base = raw.block("Tell")
    for stream in (1, 3, 5):
        opened(stream, base if stream == 1 else raw.block("Tell"))
        await raw.until(frames.DATA)
    # Literal with indexing: ("who", "a"), then ("who", "b"); index 62 is the newest entry.
    opened(7, raw.block("Tell") + b"\x40\x03who\x01a")
    assert b"('who', 'a')" in (await raw.until(frames.DATA))[3]
    newest = b"\x83\x86\x04\x12/example.Echo/Tell\x0f\x10\x10application/grpc\xbe"
    opened(9, newest)
    assert b"('who', 'a')" in (await raw.until(frames.DATA))[3]
    opened(11, newest)
    assert b"('who', 'a')" in (await raw.until(frames.DATA))[3]
    opened(13, b"\x83\x86\x04\x12/example.Echo/Tell\x0f\x10\x10application/grpc\x40\x03who\x01b")
    assert b"('who', 'b')" in (await raw.until(frames.DATA))[3]
    opened(15, newest)
    assert b"('who', 'b')" in (await raw.until(frames.DATA))[3]


async def test_windows_are_kept_to(raw: RawClient) -> None:
    raw.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 10}))
    raw.open(1, "Many")
    raw.send(frame(frames.DATA, END_STREAM, 1, b"\x00\x00\x00\x00\x041 99"))
    assert len((await raw.until(frames.DATA))[3]) == 10
    raw.send(frames.window_update(1, 4))
    assert len((await raw.until(frames.DATA))[3]) == 4
    # Smaller by more than what is left: the window is negative, and grows from there.
    raw.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 5}) + frames.window_update(1, 6))
    assert len((await raw.until(frames.DATA))[3]) == 1
    raw.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 1000}))
    assert len((await raw.until(frames.DATA))[3]) == 99 + 5 - 15


async def test_calls_opened_and_given_up_at_once_leave_nothing(served: Served, raw: RawClient) -> None:
    for stream in range(1, 4001, 2):
        raw.open(stream, "Wait")
        raw.send(frame(frames.DATA, END_STREAM, stream, MESSAGE) + frames.reset(stream, ErrorCode.CANCEL))
    raw.send(frame(frames.PING, 0, 0, b"finished"))
    await raw.until(frames.PING)
    await eventually(lambda: served.echo.running == 0)


async def test_a_client_that_reads_nothing_is_hung_up_on(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "UNREAD_BYTES_MAX", 256 * 1024)
    client = await RawClient.connect(served.port)
    with pytest.raises(ConnectionError):
        async with asyncio.timeout(20):
            while True:
                client.send(frame(frames.PING, 0, 0, bytes(8)) * 10_000)
                await client.writer.drain()
    assert await served.One(b"others go on") == b"others go on"
    client.writer.close()


async def test_a_silent_client_is_asked_and_then_hung_up_on(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "KEEPALIVE_S", 0.05)
    monkeypatch.setattr(wire, "KEEPALIVE_TIMEOUT_S", 0.05)
    client = await RawClient.connect(served.port)
    _, _, _, payload = await client.until(frames.PING)
    client.send(frame(frames.PING, frames.FLAG_ACK, 0, payload))
    await client.until(frames.PING)
    assert [kind for kind, *_ in await client.rest()] == []
    await client.close()
