"""Answers that make no sense are errors of the SDK like all others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import status_pb2
from steersman import errors
from steersman.client import Api
from steersman.core.v1 import ConfigMap
from steersman.service.http2.channel import Channel, Dialing
from steersman.service.server import GrpcServer

GARBAGE = b"\xff\xff\xff not a message"


async def garbage(_request: bytes, _context: Any) -> bytes:
    return GARBAGE


async def a_message_and_garbage(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
    yield b""
    yield GARBAGE
    yield b""


async def refused_with_details_of_garbage(_request: bytes, context: Any) -> None:
    detail = AnyMessage(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=GARBAGE)
    details = status_pb2.Status(details=[detail]).SerializeToString()
    await context.abort(grpc.StatusCode.NOT_FOUND, "there is none", (("grpc-status-details-bin", details),))


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    methods = {
        "Get": grpc.unary_unary_rpc_method_handler(garbage),
        "Watch": grpc.unary_stream_rpc_method_handler(a_message_and_garbage),
        "Delete": grpc.unary_unary_rpc_method_handler(refused_with_details_of_garbage),
    }
    handler = grpc.method_handlers_generic_handler("steersman.core.v1.ConfigMaps", methods)
    server = GrpcServer([handler], services=[])
    address = f"127.0.0.1:{server.listen('127.0.0.1:0', None)}"
    await server.start()
    async with Api(Channel(address, Dialing())) as api:
        try:
            yield api
        finally:
            await server.stop(0.1)


async def test_an_answer_that_cannot_be_read_is_an_error_of_the_server(api: Api) -> None:
    with pytest.raises(errors.ServerError, match="cannot be read") as caught:
        await api.resource(ConfigMap).get("a")
    assert caught.value.code is grpc.StatusCode.INTERNAL


async def test_a_watch_that_brings_what_cannot_be_read_ends_with_that(api: Api) -> None:
    seen = []
    with pytest.raises(errors.ServerError, match="cannot be read"):
        async for event in api.resource(ConfigMap).watch():
            seen.append(event)
    assert len(seen) == 1


async def test_a_refusal_whose_details_cannot_be_read_is_that_refusal(api: Api) -> None:
    with pytest.raises(errors.NotFound, match="there is none") as caught:
        await api.resource(ConfigMap).delete("a")
    assert caught.value.reason == ""
