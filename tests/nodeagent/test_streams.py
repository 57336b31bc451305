"""Logs, commands and connections, as the apiserver asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import pytest
from steersman.core.v1 import (
    PodAttachRequest,
    PodAttachResponse,
    PodAttachStart,
    PodExecRequest,
    PodExecResponse,
    PodExecStart,
    PodLogsRequest,
    PodLogsResponse,
    PodPortForwardRequest,
    PodPortForwardResponse,
    PodPortForwardStart,
    TerminalSize,
)

from nodeagent.rpc.streams import SERVICE
from tests.nodeagent.cluster import Cluster

pytestmark = pytest.mark.root

TALKER = """
apiVersion: v1
kind: Pod
metadata: {name: talker}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: steersman.local/busybox:1
    command:
    - sh
    - -c
    - |
      for i in 1 2 3 4 5; do echo line $i; done
      echo problem >&2
      mkdir -p /www; echo forwarded > /www/index.html
      httpd -p 127.0.0.1:8080 -h /www
      while [ ! -e /tmp/end ]; do sleep 0.05; done
      echo last
      exit 7
"""


async def logs(channel: grpc.aio.Channel, **request: object) -> bytes:
    call = channel.unary_stream(
        f"/{SERVICE}/Logs",
        request_serializer=PodLogsRequest.SerializeToString,
        response_deserializer=PodLogsResponse.FromString,
    )
    asked = PodLogsRequest(namespace="default", name="talker", **request)
    return b"".join([each.data async for each in call(asked, timeout=20)])


async def execute(channel: grpc.aio.Channel, requests: Iterable[PodExecRequest]) -> tuple[bytes, bytes, int]:
    """Sends all requests, then keeps the call open until the command has ended."""
    done = asyncio.Event()

    async def sent() -> AsyncIterator[PodExecRequest]:
        for request in requests:
            yield request
        await done.wait()

    call = channel.stream_stream(
        f"/{SERVICE}/Exec",
        request_serializer=PodExecRequest.SerializeToString,
        response_deserializer=PodExecResponse.FromString,
    )(sent(), timeout=20)
    stdout = stderr = b""
    code = -1
    async for response in call:
        stdout += response.stdout
        stderr += response.stderr
        if response.HasField("exit_code"):
            code = response.exit_code
    done.set()
    return stdout, stderr, code


def start(*command: str, stdin: bool = False, tty: bool = False) -> PodExecRequest:
    return PodExecRequest(start=PodExecStart(namespace="default", name="talker", command=command, stdin=stdin, tty=tty))


async def test_logs(cluster: Cluster) -> None:
    await cluster.apply(TALKER)
    await cluster.ready("talker")
    async with cluster.streams() as channel:
        everything = b"line 1\nline 2\nline 3\nline 4\nline 5\nproblem\n"

        async def complete() -> bool:
            return b"problem" in await logs(channel)

        await cluster.until(complete)
        assert sorted((await logs(channel)).splitlines()) == sorted(everything.splitlines())
        assert (await logs(channel, tail_lines=1)).count(b"\n") == 1
        assert await logs(channel, tail_lines=0) == b""
        assert await logs(channel, limit_bytes=4) in (b"line", b"prob")
        assert await logs(channel, since_seconds=3600) == await logs(channel)
        stamped = (await logs(channel, timestamps=True)).splitlines()
        assert all(line[:2] == b"20" and line.count(b" ") >= 1 for line in stamped)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await logs(channel, previous=True)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await logs(channel, container="nobody")
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT

        following = asyncio.create_task(logs(channel, follow=True))
        await cluster.exec("talker", "touch", "/tmp/end")
        assert (await following).endswith(b"last\n")

        async def again() -> bool:
            status = await cluster.status_of("talker")
            return status.restart_count == 1 and status.state.HasField("running")

        await cluster.until(again)
        assert (await logs(channel, previous=True)).endswith(b"last\n")
        assert b"last" not in await logs(channel)


async def test_commands(cluster: Cluster) -> None:
    await cluster.apply(TALKER)
    await cluster.ready("talker")
    async with cluster.streams() as channel:
        assert await execute(channel, [start("sh", "-c", "echo out; echo err >&2; exit 5")]) == (
            b"out\n",
            b"err\n",
            5,
        )
        # Standard input can be ended while output goes on.
        requests = [start("sort", stdin=True), PodExecRequest(stdin=b"b\na\n"), PodExecRequest(stdin_eof=True)]
        assert await execute(channel, requests) == (b"a\nb\n", b"", 0)
        large = bytes(range(256)) * 2000
        requests = [start("cat", stdin=True), PodExecRequest(stdin=large), PodExecRequest(stdin_eof=True)]
        assert await execute(channel, requests) == (large, b"", 0)
        requests = [
            start("sh", "-c", "sleep 0.3; stty size", stdin=True, tty=True),
            PodExecRequest(resize=TerminalSize(width=91, height=17)),
        ]
        stdout, _, code = await execute(channel, requests)
        assert (stdout.strip(), code) == (b"17 91", 0)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await execute(channel, [PodExecRequest(stdin=b"x")])
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        _, _, code = await execute(channel, [start("/no/such/program")])
        assert code != 0


LISTENER = """
apiVersion: v1
kind: Pod
metadata: {name: listener}
spec:
  terminationGracePeriodSeconds: 1
  restartPolicy: Never
  containers:
  - name: main
    image: steersman.local/busybox:1
    stdin: true
    command:
    - sh
    - -c
    - |
      echo before
      # The runtime cuts those off who are attached when the program ends, whatever is still on its way to them.
      while read line; do echo "heard $line"; echo "noted $line" >&2; [ "$line" = end ] && sleep 2 && exit; done
  - name: deaf
    image: steersman.local/busybox:1
    command: [sleep, "1000"]
"""


async def test_a_containers_own_streams(cluster: Cluster) -> None:
    await cluster.apply(LISTENER)
    await cluster.ready("listener")
    async with cluster.streams() as channel:
        attach = channel.stream_stream(
            f"/{SERVICE}/Attach",
            request_serializer=PodAttachRequest.SerializeToString,
            response_deserializer=PodAttachResponse.FromString,
        )

        def beginning(container: str = "main", *, stdin: bool = True) -> PodAttachRequest:
            start = PodAttachStart(namespace="default", name="listener", container=container, stdin=stdin)
            return PodAttachRequest(start=start)

        async def read(call: Any, heard: dict[str, bytes]) -> None:
            while (piece := await call.read()) is not grpc.aio.EOF:
                heard["out"] += piece.stdout
                heard["err"] += piece.stderr

        async def greeted(word: bytes) -> tuple[Any, dict[str, bytes], asyncio.Task[None]]:
            """A connection on which both streams are open: the runtime does not say when they are."""
            call = attach(timeout=60)
            await call.write(beginning())
            heard = {"out": b"", "err": b""}
            reading = asyncio.create_task(read(call, heard))

            async def answered() -> bool:
                await call.write(PodAttachRequest(stdin=word + b"\n"))
                return b"heard " + word in heard["out"] and b"noted " + word in heard["err"]

            await cluster.until(answered)
            return call, heard, reading

        call, heard, reading = await greeted(b"one")
        assert b"before" not in heard["out"], "nothing of before"
        # Who leaves ends nothing: the next one goes on.
        call.cancel()
        await asyncio.wait({reading})
        call, heard, reading = await greeted(b"two")
        await call.write(PodAttachRequest(stdin=b"end\n"))
        await reading
        assert heard["out"].endswith(b"heard end\n")
        assert heard["err"].endswith(b"noted end\n")

        async def ended() -> bool:
            return (await cluster.status_of("listener")).state.HasField("terminated")

        await cluster.until(ended)
        for request, words in (
            (beginning("deaf"), "reads no standard input"),
            (beginning("main", stdin=False), "is not running"),
            (PodAttachRequest(stdin=b"x"), "the first message must be start"),
        ):
            call = attach(timeout=30)
            await call.write(request)
            with pytest.raises(grpc.aio.AioRpcError, match=words):
                await call.read()


async def test_connections(cluster: Cluster) -> None:
    await cluster.apply(TALKER)
    await cluster.ready("talker")
    async with cluster.streams() as channel:
        forward = channel.stream_stream(
            f"/{SERVICE}/PortForward",
            request_serializer=PodPortForwardRequest.SerializeToString,
            response_deserializer=PodPortForwardResponse.FromString,
        )

        def requests(port: int) -> list[PodPortForwardRequest]:
            return [
                PodPortForwardRequest(start=PodPortForwardStart(namespace="default", name="talker", port=port)),
                PodPortForwardRequest(data=b"GET /index.html HTTP/1.0\r\n\r\n"),
            ]

        async def answers() -> bytes:
            try:
                return b"".join([each.data async for each in forward(iter(requests(8080)), timeout=10)])
            except grpc.aio.AioRpcError:
                return b""

        # It listens on the pod's loopback address only.
        answer = await cluster.until(answers)
        assert answer.endswith(b"forwarded\n")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            async for _ in forward(iter(requests(1)), timeout=10):
                pass
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_pod_of_another_node(cluster: Cluster) -> None:
    async with cluster.streams() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await logs(channel)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
