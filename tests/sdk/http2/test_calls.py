"""What callers see of a call: with gRPC's own client, and with ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc.aio import EOF

from tests.sdk.http2.conftest import SERVICE, Served, grpcs_channel, own_channel
from tests.waiting import eventually

pytestmark = pytest.mark.parametrize("open_channel", [grpcs_channel, own_channel], ids=["grpc", "own"], indirect=True)

MEGABYTE = 1024 * 1024


async def test_a_request_has_its_answer(served: Served) -> None:
    assert await served.One(b"hello") == b"hello"
    assert await served.One(b"") == b""


async def test_many_calls_at_once_keep_apart(served: Served) -> None:
    requests = [str(number).encode() for number in range(500)]
    assert await asyncio.gather(*(served.One(request) for request in requests)) == requests


async def test_large_messages_pass_both_ways(served: Served) -> None:
    request = bytes(range(256)) * 12 * 1024
    assert await served.One(request) == request


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_requests_are_read(served: Served, algorithm: grpc.Compression) -> None:
    assert await served.One(b"again and " * 1000, compression=algorithm) == b"again and " * 1000


async def test_a_message_over_the_limit_is_refused_and_named(served: Served) -> None:
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await served.One(b"x" * (5 * MEGABYTE), compression=compression)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "vs. 4194304" in str(caught.value.details())
    assert await served.One(b"and on") == b"and on"


async def test_an_error_has_code_words_and_metadata(served: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.Refuse("50 % off: naïve — \n".encode())
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "50 % off: naïve — \n"
    assert dict(caught.value.trailing_metadata()) == {"reason-bin": b"\x00\xff", "why": "so"}


async def test_a_failing_handler_tells_its_caller_nothing(served: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.Fail(b"")
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(caught.value.details())


async def test_a_handler_that_says_what_cannot_be_sent_fails(served: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.Spoil(b"", timeout=5)
    assert caught.value.code() is grpc.StatusCode.INTERNAL


async def test_an_unknown_method_is_named(served: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=f"unknown method /{SERVICE}/Missing") as caught:
        await served.Missing(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_metadata_goes_both_ways(served: Served) -> None:
    call = served.Tell(b"", metadata=(("who", "me"), ("raw-bin", b"\x00\x01")), timeout=60)
    seen = (await call).decode()
    assert "('who', 'me')" in seen
    assert r"('raw-bin', b'\x00\x01')" in seen
    assert "grpc-timeout" not in seen
    assert dict(await call.initial_metadata())["begun"] == "yes"
    assert dict(await call.trailing_metadata())["left"] == "True"


async def test_a_stream_of_answers(served: Served) -> None:
    assert [len(item) async for item in served.Many(b"1000 100")] == [100] * 1000


async def test_a_stream_of_requests(served: Served) -> None:
    served.echo.gate.set()
    assert await served.Sum(iter([b"x" * 1000] * 2000)) == b"2000000"


async def test_a_conversation(served: Served) -> None:
    call = served.Both()
    for number in range(100):
        await call.write(str(number).encode())
        assert await call.read() == str(number).encode()
    await call.done_writing()
    assert await call.read() == EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_a_deadline_ends_the_call_on_both_sides(served: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.Wait(b"", timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await eventually(lambda: served.echo.cancelled == 1)


async def test_a_client_that_gives_up_stops_the_handler(served: Served) -> None:
    waiting, talking = served.Wait(b""), served.Both()
    await eventually(lambda: served.echo.running == 2)
    waiting.cancel()
    talking.cancel()
    await eventually(lambda: served.echo.cancelled == 2 and served.echo.running == 0)


async def test_a_client_that_goes_away_stops_its_handlers(served: Served, open_channel: Callable[[str], Any]) -> None:
    channel = open_channel(f"127.0.0.1:{served.port}")
    calls = [channel.unary_unary(f"/{SERVICE}/Wait")(b"") for _ in range(3)]
    await eventually(lambda: served.echo.running == 3)
    await channel.close()
    await eventually(lambda: served.echo.cancelled == 3)
    assert all(call.done() for call in calls)


async def test_a_slow_reader_holds_the_writer_back(served: Served) -> None:
    answers = served.Many(b"400 100000").__aiter__()
    assert len(await anext(answers)) == 100_000
    # Windows and the client's own buffer take some megabytes of the forty; how much is gRPC's business.
    await eventually(lambda: served.echo.written > 1)
    await served.One(b"while the writer waits")
    assert served.echo.written < 300
    assert 1 + len([item async for item in answers]) == 400


async def test_a_slow_handler_holds_the_client_back(served: Served) -> None:
    sent = 0

    async def requests() -> object:
        nonlocal sent
        for _ in range(400):
            yield b"x" * 100_000
            sent += 1

    call = asyncio.ensure_future(served.Sum(requests()))
    await eventually(lambda: sent > 5)
    assert sent < 300
    served.echo.gate.set()
    assert await call == b"40000000"


async def test_a_stopping_server_lets_calls_end_and_takes_no_new_ones(served: Served) -> None:
    running = asyncio.ensure_future(served.Wait(b"last"))
    await eventually(lambda: served.echo.running == 1)
    stopping = asyncio.create_task(served.server.stop(10))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.One(b"late", timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    served.echo.gate.set()
    assert await running == b"last"
    await stopping


async def test_a_stopping_server_cuts_what_does_not_end(served: Served) -> None:
    running = asyncio.ensure_future(served.Wait(b""))
    await eventually(lambda: served.echo.running == 1)
    await served.server.stop(0.05)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert served.echo.cancelled == 1
