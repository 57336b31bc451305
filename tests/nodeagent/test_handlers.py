"""Probes that ask over the network, against servers on the loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from steersman.core.v1 import Container, GRPCAction, HTTPGetAction, ProbeHandler, TCPSocketAction
from steersman.meta.v1 import IntOrString
from steersman.service.server import GrpcServer

from nodeagent.cri.channel import RuntimeChannel
from nodeagent.cri.runtime import Runtime
from nodeagent.cri.termination import TerminationMessages
from nodeagent.handlers import Answer, Handlers, Target
from nodeagent.metrics import Metrics

CONTAINER = Container(name="a")


@pytest.fixture
async def handlers() -> AsyncIterator[Handlers]:
    channel = RuntimeChannel("unix:///nowhere", Metrics())
    yield Handlers(Runtime(channel, TerminationMessages()))
    await channel.close()


@asynccontextmanager
async def http(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that gives one answer to everything, and what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


async def probe(handlers: Handlers, handler: ProbeHandler, container: Container = CONTAINER) -> Answer:
    return await handlers.probe(handler, Target(container, "c", "127.0.0.1"), 1.0)


def get(port: int | str, path: str = "/") -> ProbeHandler:
    value = IntOrString(type=0, int_val=port) if isinstance(port, int) else IntOrString(type=1, str_val=port)
    return ProbeHandler(http_get=HTTPGetAction(port=value, path=path))


async def test_http(handlers: Handlers) -> None:
    async with http(b"HTTP/1.1 204 No Content\r\n\r\n") as (port, asked):
        named = Container(name="a")
        named.ports.add(name="web", container_port=port)
        handler = get("web", "/healthz?full")
        handler.http_get.http_headers.add(name="host", value="example.org")
        assert (await probe(handlers, handler, named)).ok
        assert asked[0].startswith(b"GET /healthz?full HTTP/1.1\r\nHost: example.org\r\n")
    async with http(b"HTTP/1.1 503 Service Unavailable\r\n\r\n") as (port, _):
        answer = await probe(handlers, get(port))
        assert answer == Answer(False, "HTTP probe failed with statuscode: 503")
    async with http(b"SSH-2.0-hello\r\n") as (port, _):
        assert not (await probe(handlers, get(port))).ok
    async with http(b"") as (port, _):
        assert not (await probe(handlers, get(port))).ok


async def test_tcp(handlers: Handlers) -> None:
    async with http(b"") as (port, _):
        handler = ProbeHandler(tcp_socket=TCPSocketAction(port=IntOrString(int_val=port)))
        assert (await probe(handlers, handler)).ok
    answer = await probe(handlers, handler)
    assert not answer.ok
    assert answer.message


async def test_grpc(handlers: Handlers) -> None:
    server = GrpcServer([], services=["example.Service"])
    port = server.listen("127.0.0.1:0", None)
    await server.start()
    try:
        handler = ProbeHandler(grpc=GRPCAction(port=port, service="example.Service"))
        assert not (await probe(handlers, handler)).ok
        await server.set_serving(True)
        assert (await probe(handlers, handler)).ok
        handler.grpc.service = "nobody"
        assert not (await probe(handlers, handler)).ok
    finally:
        await server.stop(0)


async def test_commands_when_the_runtime_is_away(handlers: Handlers) -> None:
    handler = ProbeHandler()
    handler.exec.command.append("true")
    assert not (await probe(handlers, handler)).ok
