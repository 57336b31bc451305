"""A machine that is cut off is noticed, also by who only listens."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator

import grpc
import pytest
from steersman.service.http2.channel import Channel, Dialing

SERVER = """
import asyncio, grpc, sys
from steersman.service.server import GrpcServer

async def silent(request, context):
    yield b"here"
    await asyncio.Event().wait()

async def main():
    handler = grpc.method_handlers_generic_handler("t.T", {"Listen": grpc.unary_stream_rpc_method_handler(silent)})
    server = GrpcServer([handler], services=[])
    port = server.listen("0.0.0.0:0", None)
    await server.start()
    print(port, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

pytestmark = pytest.mark.root


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@pytest.fixture
async def elsewhere() -> AsyncIterator[tuple[str, str]]:
    """A server on a machine of its own: the name of its namespace, and its address. A cable leads there."""
    name = f"t{secrets.token_hex(3)}"
    third = secrets.randbelow(250) + 1
    process: asyncio.subprocess.Process | None = None
    try:
        run("ip", "netns", "add", name)
        run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "address", "add", f"169.254.{third}.1/30", "dev", name)
        run("ip", "link", "set", name, "up")
        run("ip", "-n", name, "address", "add", f"169.254.{third}.2/30", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        process = await asyncio.create_subprocess_exec(
            "ip", "netns", "exec", name, sys.executable, "-c", SERVER, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        port = (await process.stdout.readline()).decode().strip()
        yield name, f"169.254.{third}.2:{port}"
    finally:
        if process is not None:
            process.kill()
            await process.wait()
        subprocess.run(["ip", "link", "delete", name], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


async def test_a_stream_ends_when_the_other_machine_is_cut_off(elsewhere: tuple[str, str]) -> None:
    name, address = elsewhere
    async with Channel(address, Dialing(silence_max_s=2)) as channel:
        call = channel.unary_stream("/t.T/Listen")(b"")
        assert await call.read() == b"here"
        run("ip", "link", "set", name, "down")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asyncio.wait_for(call.read(), 60)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
