"""`steer logs`, `exec`, `attach` and `port-forward`: a real apiserver, and a node whose containers are made up."""

from __future__ import annotations

import os
import pty
import re
import select
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from steersman.cli import choosing
from steersman.cli.commands.port_forward import port_of, ports
from steersman.cli.failures import CommandError
from steersman.cli.harmless import Harmless
from steersman.core.v1 import Node, Pod
from steersman.core.v1 import pod_pb2 as messages
from steersman.pki import write_identity
from steersman.service.server import GrpcServer
from steersman.service.tls import TLSFiles

from tests.apiserver.objects import pod, service
from tests.sdk.cli.conftest import Cluster
from tests.sdk.cli.test_get import Reader


def _bytes_of(answer: Any) -> bytes:
    return bytes(answer.SerializeToString())


class Containers:
    """What a node's agent serves, of containers that write and answer the same things always."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def logs(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.asked.append(request)
        if request.container == "broken":
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "container broken waits to start")
        if request.container == "binary":
            yield messages.PodLogsResponse(data=b"a\x1b[31mred\x1b[0m\x1b[2J\x00\xff\x07z\n")
            return
        # Pieces need not end where lines do.
        for piece in (f"{request.container} one\n{request.container} t".encode(), b"wo\n", b"end"):
            yield messages.PodLogsResponse(data=piece)

    async def exec(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        start = (await anext(requests)).start
        self.asked.append(start)
        yield messages.PodExecResponse(stdout=" ".join(start.command).encode() + b"\n")
        if start.stdin:
            async for request in requests:
                if request.WhichOneof("message") == "stdin_eof":
                    break
                yield messages.PodExecResponse(stdout=request.stdin.upper())
        yield messages.PodExecResponse(stderr=b"oops\n")
        yield messages.PodExecResponse(exit_code=3 if start.command[0] == "fail" else 0)

    async def attach(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        start = (await anext(requests)).start
        self.asked.append(start)
        yield messages.PodAttachResponse(stdout=f"{start.container} speaks\n".encode())

    async def port_forward(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        start = (await anext(requests)).start
        self.asked.append(start)
        if start.port == 9:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "connection refused")
        yield messages.PodPortForwardResponse()
        async for request in requests:
            if request.eof:
                return
            yield messages.PodPortForwardResponse(data=f"{start.port}:".encode() + request.data)

    def handler(self) -> Any:
        def of(kind: Any, call: Any, request: Any) -> Any:
            return kind(
                call,
                request_deserializer=request.FromString,
                response_serializer=lambda answer: answer.SerializeToString(),
            )

        duplex = grpc.stream_stream_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            "steersman.nodeagent.v1.Streams",
            {
                "Logs": of(grpc.unary_stream_rpc_method_handler, self.logs, messages.PodLogsRequest),
                "Exec": of(duplex, self.exec, messages.PodExecRequest),
                "Attach": of(duplex, self.attach, messages.PodAttachRequest),
                "PortForward": of(duplex, self.port_forward, messages.PodPortForwardRequest),
            },
        )


@pytest.fixture(scope="module")
def containers(cluster: Cluster) -> Iterator[Containers]:
    """A node `streams`, whose agent this is."""
    made = Containers()
    folder = cluster.folder
    write_identity(
        folder,
        "streams",
        cluster.authority,
        "system:node:streams",
        groups=["system:nodes"],
        hosts=["streams"],
        now=datetime.now(UTC),
    )
    server = GrpcServer([made.handler()], services=["steersman.nodeagent.v1.Streams"])
    port = server.listen("127.0.0.1:0", TLSFiles(folder / "streams.crt", folder / "streams.key", folder / "ca.crt"))
    cluster.inside(server.start())
    node = Node()
    node.metadata.name = "streams"
    node.status.addresses.add(type="InternalIP", address="127.0.0.1")
    node.status.daemon_endpoints.kubelet_endpoint.port = port
    cluster.create(node)
    try:
        yield made
    finally:
        cluster.steer("delete", "node/streams")
        cluster.inside(server.stop(0))


def running(name: str, namespace: str, *names: str, **labels: str) -> Pod:
    made = pod(name, namespace, node="streams", **labels)
    del made.spec.containers[:]
    for each in names or ("main",):
        container = made.spec.containers.add(name=each, image="a:1")
    container.ports.add(name="http", container_port=8080)
    made.status.phase = "Running"
    return made


@pytest.fixture
def shop(cluster: Cluster, namespace: str, containers: Containers) -> str:
    front = service("front", ports=(80,))
    front.metadata.namespace = namespace
    front.spec.selector["app"] = "web"
    front.spec.ports[0].target_port.type, front.spec.ports[0].target_port.str_val = 1, "http"
    cluster.create(
        running("web-1", namespace, app="web"),
        running("web-2", namespace, app="web"),
        running("two", namespace, "first", "second"),
        running("odd", namespace, "binary"),
        front,
    )
    return namespace


def test_logs(cluster: Cluster, shop: str, containers: Containers) -> None:
    assert cluster.steer("logs", "web-1", "-n", shop) == "main one\nmain two\nend"
    words = ["--tail", "5", "--since", "90s", "--timestamps", "-p", "--limit-bytes", "9"]
    cluster.steer("logs", "pod/web-1", "-n", shop, *words)
    asked = containers.asked[-1]
    assert (asked.tail_lines, asked.since_seconds, asked.timestamps, asked.previous) == (5, 90, True, True)
    cluster.steer("logs", "web-1", "main", "-n", shop, "--since-time", "2026-05-01T12:00:00Z", "--tail=-1")
    assert containers.asked[-1].since_time.ToDatetime(tzinfo=UTC) == datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert not containers.asked[-1].HasField("tail_lines")


def test_logs_of_several(cluster: Cluster, shop: str) -> None:
    said = cluster.steer("logs", "two", "-n", shop, "--all-containers", "--prefix")
    assert said == (
        "[pod/two/first] first one\n[pod/two/first] first two\n[pod/two/first] end\n"
        "[pod/two/second] second one\n[pod/two/second] second two\n[pod/two/second] end\n"
    )
    followed = cluster.steer("logs", "-l", "app=web", "-n", shop, "-f", "--prefix")
    assert {line.partition("]")[0] for line in followed.splitlines()} == {"[pod/web-1/main", "[pod/web-2/main"}
    assert cluster.steer("logs", "svc/front", "-n", shop, "--all-pods").count("main one") == 2
    done = cluster.run("logs", "svc/front", "-n", shop)
    assert re.fullmatch(r"Found 2 pods, using pod/web-[12]\n", done.err)
    assert cluster.run("logs", "-l", "app=web", "-n", shop, "-f", "--max-log-requests", "1").code == 1
    assert cluster.run("logs", "-l", "a=none", "-n", shop).err == f"no pods in namespace {shop} match\n"


def test_which_container(cluster: Cluster, shop: str, containers: Containers) -> None:
    done = cluster.run("logs", "two", "-n", shop)
    assert (done.code, done.err) == (0, 'Defaulted container "first" out of: first, second\n')
    assert cluster.steer("logs", "two", "-n", shop, "-c", "second").startswith("second one")
    done = cluster.run("logs", "two", "-n", shop, "-c", "secnd")
    assert (done.code, done.err) == (1, "error: pod/two has no container 'secnd'; did you mean 'second'?\n")
    marked = running("marked", shop, "first", "second")
    marked.metadata.annotations[choosing.DEFAULT_CONTAINER] = "second"
    cluster.create(marked)
    assert cluster.steer("logs", "marked", "-n", shop).startswith("second one")


def test_one_of_several_logs_that_cannot_be_read(cluster: Cluster, shop: str) -> None:
    cluster.create(running("half", shop, "broken", "good"))
    done = cluster.run("logs", "half", "-n", shop, "--all-containers")
    assert (done.code, "good one" in done.out) == (1, True)
    assert done.err == "error: pod/half, container broken: container broken waits to start\n"
    assert cluster.run("logs", "half", "-n", shop, "--all-containers", "--ignore-errors").code == 0
    done = cluster.run("logs", "half", "-c", "broken", "-n", shop)
    assert (done.code, done.err) == (1, "error: container broken waits to start\n")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["web-1", "-l", "a=b"],
        ["web-1", "-c", "a", "--all-containers"],
        ["web-1", "--since", "1m", "--since-time", "2026-05-01T12:00:00Z"],
        ["web-1", "--since-time", "yesterday"],
        ["web-1", "--since-time", "2026-05-01T12:00:00"],
        ["web-1", "--since", "soon"],
        ["web-1", "--tail", "many"],
    ],
)
def test_words_that_make_no_sense(cluster: Cluster, words: list[str]) -> None:
    done = cluster.run("logs", *words)
    assert (done.code, len(done.err.splitlines())) == (2, 1)


def test_what_is_not_there(cluster: Cluster, shop: str) -> None:
    assert cluster.run("logs", "nobody", "-n", shop).code == 4
    cluster.create(pod("nowhere", shop))
    done = cluster.run("logs", "nowhere", "-n", shop)
    assert (done.code, "runs on no node yet" in done.err) == (1, True)
    empty = service("empty")
    empty.metadata.namespace, empty.spec.selector["a"] = shop, "none"
    cluster.create(empty)
    assert cluster.run("logs", "svc/empty", "-n", shop).err == "error: svc/empty has no pods (steer why svc/empty)\n"
    assert cluster.run("logs", "ns/default").err == "error: ns/default selects no pods\n"


def test_a_terminal_obeys_no_binary_logs(cluster: Cluster, shop: str) -> None:
    master, slave = pty.openpty()
    environment = {**os.environ, "STEERCONFIG": str(cluster.config)}
    command = [sys.executable, "-m", "steersman.cli.main", "logs", "odd", "-n", shop]
    process = subprocess.Popen(command, env=environment, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    try:
        while b"z" not in seen:
            assert select.select([master], [], [], 20)[0], seen
            seen += os.read(master, 1000)
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert seen.startswith(b"a\x1b[31mred\x1b[0m\\x1b[2J\\x00\\xff\\x07z")


def test_bytes_for_eyes() -> None:
    harmless = Harmless()
    pieces = [b"caf\xc3", b"\xa9 \x1b[3", b"1mred\x1b", b"[0m \x1b]0;title\x07"]
    assert (
        "".join(map(harmless.text, pieces)) + harmless.text(b"", final=True)
        == "café \x1b[31mred\x1b[0m \\x1b]0;title\\x07"
    )
    assert Harmless().text(b"\x1b[", final=True) == "\\x1b["


def test_exec(cluster: Cluster, shop: str, containers: Containers) -> None:
    done = cluster.run("exec", "web-1", "-n", shop, "--", "ls", "-l", "/")
    assert (done.code, done.out, done.err) == (0, "ls -l /\n", "oops\n")
    assert cluster.run("exec", "web-1", "-n", shop, "--", "fail").code == 3
    process = cluster.start_process("exec", "deploy/none", "-n", shop, "--", "ls")
    _, err = process.communicate(timeout=30)
    assert (process.returncode, len(err.splitlines())) == (4, 1)
    done = cluster.run("exec", "two", "-n", shop, "--", "ls")
    assert done.err.startswith('Defaulted container "first" out of: first, second\n')
    assert containers.asked[-1].container == "first"
    assert cluster.run("exec", "web-1", "-n", shop).code == 2
    assert "no terminal there" in cluster.run("exec", "-it", "web-1", "-n", shop, "--", "ls").err


def test_exec_with_input(cluster: Cluster, shop: str) -> None:
    environment = {**os.environ, "STEERCONFIG": str(cluster.config)}
    command = [sys.executable, "-m", "steersman.cli.main", "exec", "-i", "web-1", "-n", shop, "--", "cat"]
    done = subprocess.run(command, env=environment, input=b"through", capture_output=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, b"cat\nTHROUGH")


def test_exec_without_standard_input(cluster: Cluster, shop: str) -> None:
    environment = {**os.environ, "STEERCONFIG": str(cluster.config)}
    command = f"exec {sys.executable} -m steersman.cli.main exec -i web-1 -n {shop} -- cat <&-"
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "cat\n", "oops\n")


def test_attach(cluster: Cluster, shop: str) -> None:
    assert cluster.steer("attach", "two", "-c", "second", "-n", shop) == "second speaks\n"


def test_port_forward(cluster: Cluster, shop: str) -> None:
    process = cluster.start_process("port-forward", "svc/front", ":80", "0:80", "-n", shop)
    try:
        read = Reader(process)
        first, second = (re.fullmatch(r"Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)\n", read.line()) for _ in (1, 2))
        assert first
        assert first[2] == "8080"
        with socket.create_connection(("127.0.0.1", int(first[1])), timeout=20) as connection:
            connection.sendall(b"hello")
            assert connection.recv(100) == b"8080:hello"
        assert second
        assert second[2] == "8080"
    finally:
        process.kill()
        process.communicate()


def test_a_port_where_nobody_listens(cluster: Cluster, shop: str) -> None:
    process = cluster.start_process("port-forward", "web-1", ":9", "-n", shop)
    try:
        found = re.search(r":(\d+) -> 9", Reader(process).line())
        assert found
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=20) as connection:
            assert connection.recv(100) == b""
        process.send_signal(2)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "connection to port 9 of web-1" in err
        assert "connection refused" in err
    finally:
        process.kill()
        process.communicate()


def test_the_ports_that_words_mean() -> None:
    assert ports("8080") == (None, "8080")
    assert ports("9000:http") == (9000, "http")
    assert ports(":80") == (0, "80")
    for wrong in ("", "a b", "70000", "x:80", "1:0", "1:2:3", "8080:"):
        with pytest.raises(CommandError):
            ports(wrong)
    one = running("p", "default")
    assert port_of(one, None, "http") == 8080
    with pytest.raises(CommandError, match="did you mean 'http'"):
        port_of(one, None, "htp")
    front = service("front", ports=(80,))
    with pytest.raises(CommandError, match="service/front has no port 81; it has: 80"):
        port_of(one, front, "81")
    front.spec.ports[0].target_port.int_val = 7
    assert port_of(one, front, "80") == 7


def test_a_local_port_that_is_taken(cluster: Cluster, shop: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        done = cluster.run("port-forward", "web-1", f"{number}:80", "-n", shop)
    assert (done.code, len(done.err.splitlines())) == (1, 1)
    assert f"cannot listen on 127.0.0.1:{number}" in done.err
