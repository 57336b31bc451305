"""Servers that are away, slow or no servers, proofs that have expired, readers that have gone: one clear line each."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import jwt
import pytest
from steersman import config
from steersman.cli import credentials
from steersman.config import Context
from steersman.pki import Authority
from steersman.service.server import GrpcServer
from steersman.service.tls import TLSFiles

from tests.apiserver.objects import config_map
from tests.sdk.cli.conftest import Cluster, Done

NOW = datetime.now(UTC)


def one_line(done: Done, code: int, *expected: str) -> None:
    assert (done.code, done.out) == (code, ""), done
    assert re.fullmatch(r"error: [^\n]+\n", done.err), done.err
    for words in expected:
        assert words in done.err
    assert "Traceback" not in done.err


@contextmanager
def listening(answer: bytes | None) -> Iterator[int]:
    """A port that takes connections and says `answer`, or nothing at all; then, or never, it closes them."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        held: list[socket.socket] = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    held.append(connection)
                    if answer is not None:
                        connection.recv(4096)
                        connection.sendall(answer)
                        connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for each in held:
                each.close()


def at(cluster: Cluster, tmp_path: Path, server: str, **changes: object) -> list[str]:
    """The flags that choose a context for another server."""
    context = cluster.context("admin", "system:masters", name="elsewhere")
    path = tmp_path / "elsewhere"
    fields = {**context.__dict__, "server": server, **changes}
    config.save(path, Context(**fields))
    return ["--config", str(path)]


def test_nobody_is_there(cluster: Cluster, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{closed.getsockname()[1]}"
        done = cluster.run("get", "pods", *at(cluster, tmp_path, server))
    one_line(done, 3, "the apiserver cannot be reached", "connection refused", "(context 'elsewhere')")
    one_line(cluster.run("get", "pods", *at(cluster, tmp_path, "unix:/nowhere.sock")), 3, "no such file")
    one_line(cluster.run("get", "pods", *at(cluster, tmp_path, "no-such-host.invalid:1")), 3, "cannot be reached")
    one_line(cluster.run("wait", "pod/x", "--for=delete", *at(cluster, tmp_path, "unix:/nowhere.sock")), 3)
    one_line(cluster.run("logs", "x", *at(cluster, tmp_path, "unix:/nowhere.sock")), 3)
    one_line(cluster.run("get", "pods", "-w", *at(cluster, tmp_path, "unix:/nowhere.sock")), 3)


def test_somebody_else_is_there(cluster: Cluster, tmp_path: Path) -> None:
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        one_line(cluster.run("get", "pods", *at(cluster, tmp_path, f"127.0.0.1:{port}")), 3, "cannot be reached")
        one_line(cluster.run("get", "pods", *at(cluster, tmp_path, f"127.0.0.1:{port}")), 3, "does not speak TLS")
    with listening(b"\x00" * 5000) as port:
        one_line(cluster.run("get", "pods", *at(cluster, tmp_path, f"127.0.0.1:{port}")), 3)


def test_a_server_that_does_not_answer(cluster: Cluster, tmp_path: Path) -> None:
    with listening(None) as port:
        flags = at(cluster, tmp_path, f"127.0.0.1:{port}")
        one_line(cluster.run("get", "pods", *flags, "--request-timeout", "300ms"), 3)
        one_line(cluster.run("get", "pods", *flags, "--request-timeout", "eternity"), 2, "'eternity' is not a span")


def test_a_server_of_another_authority(cluster: Cluster, tmp_path: Path) -> None:
    other = Authority.create("other", now=NOW)
    one_line(
        cluster.run("get", "pods", *at(cluster, tmp_path, cluster.server, authority=other.pem())), 3, "certificate"
    )
    wrong_name = at(cluster, tmp_path, cluster.server, server_name="somebody")
    one_line(cluster.run("get", "pods", *wrong_name), 3, "certificate")


@pytest.mark.parametrize("answer", [b"\xff\xff\xff", b"", b"\x0a\x05\x0a\x03abc" * 3, b"\x12\x7f"])
def test_a_server_that_lies(cluster: Cluster, tmp_path: Path, answer: bytes) -> None:
    """It speaks gRPC, and what it says is no list of pods, no pod, or one without a name."""

    async def call(request: bytes, context: object) -> bytes:
        return answer

    async def stream(request: bytes, context: object) -> AsyncIterator[bytes]:
        yield answer

    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "List": grpc.unary_unary_rpc_method_handler(call),
        "Get": grpc.unary_unary_rpc_method_handler(call),
        "Watch": grpc.unary_stream_rpc_method_handler(stream),
    }
    handler = grpc.method_handlers_generic_handler("steersman.core.v1.Pods", methods)
    server = GrpcServer([handler], services=["steersman.core.v1.Pods"])
    folder = cluster.folder
    tls = TLSFiles(folder / "apiserver.crt", folder / "apiserver.key", folder / "ca.crt")
    port = server.listen("localhost:0", tls)
    cluster.inside(server.start())
    flags = at(cluster, tmp_path, f"localhost:{port}")
    try:
        for words in (["get", "pods"], ["get", "pod/x", "-o", "yaml"], ["describe", "pod/x"], ["why", "pod/x"]):
            done = cluster.run(*words, *flags)
            assert "steer itself" not in done.err, done
            assert "Traceback" not in done.err
            assert len(done.err.splitlines()) <= 2, done
        done = cluster.run("wait", "pod/x", "--for=condition=Ready", "--timeout=300ms", *flags)
        assert "steer itself" not in done.err, done
        assert done.code != 0
    finally:
        cluster.inside(server.stop(0))


def test_a_certificate_that_has_expired(cluster: Cluster, tmp_path: Path) -> None:
    certificate, key = cluster.authority.issue("admin", now=NOW - timedelta(days=4000))
    flags = at(cluster, tmp_path, cluster.server, certificate=certificate, key=key)
    one_line(cluster.run("get", "pods", *flags), 3, "your certificate expired")
    certificate, key = cluster.authority.issue("admin", now=NOW + timedelta(days=10))
    flags = at(cluster, tmp_path, cluster.server, certificate=certificate, key=key)
    one_line(cluster.run("get", "pods", *flags), 3, "is the clock of this machine right?")


def test_a_token_that_has_expired_or_is_none(cluster: Cluster, tmp_path: Path) -> None:
    old = jwt.encode({"exp": NOW.timestamp() - 100}, "x" * 32)
    flags = at(cluster, tmp_path, cluster.server, certificate=None, key=None, token=old)
    one_line(cluster.run("get", "pods", *flags), 1, "your token expired ")
    flags = at(cluster, tmp_path, cluster.server, certificate=None, key=None, token="nonsense")
    one_line(cluster.run("get", "pods", *flags), 1)
    flags = at(cluster, tmp_path, cluster.server, certificate=None, key=None)
    one_line(cluster.run("get", "pods", *flags), 1, "has neither a certificate nor a token")


def test_what_speaks_against_a_proof() -> None:
    assert credentials.token_end("a.b.c") is None
    assert credentials.token_end("x") is None
    assert credentials.certificate_times(b"junk") == (None, None)
    assert credentials.doubt(Context("c", "s", certificate=b"junk"), NOW) == ""
    assert "neither" in credentials.doubt(Context("c", "s"), NOW)


def test_who_may_not(cluster: Cluster) -> None:
    one_line(cluster.run("get", "secrets", "--as", "jo"), 1, "jo")
    one_line(cluster.run("describe", "secret/x", "--as", "jo"), 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"- a", "it has no contexts"),
        (b"contexts: {test: 3}", "no context"),
        (b"a: [", "not YAML"),
        (b"\xff\xfe\x00", ""),
        (b"contexts: {test: {}}\ncurrent-context: test", "names no server"),
        (b"current-context: c\ncontexts: {c: {server: 'a:1', client-certificate: /no, client-key: /no}}", "/no"),
        (b"contexts: {test: {server: 'a:1', client-certificate-data: '*'}}\ncurrent-context: test", "base64"),
        (b"contexts: {test: {server: nonsense}}\ncurrent-context: test", ""),
    ],
)
def test_a_configuration_that_is_none(cluster: Cluster, tmp_path: Path, text: bytes, expected: str) -> None:
    (tmp_path / "config").write_bytes(text)
    one_line(cluster.run("get", "pods", "--config", str(tmp_path / "config")), 3, expected)
    one_line(cluster.run("get", "pods", "--config", "/nowhere"), 3, "there is no such file")
    one_line(cluster.run("get", "pods", "--config", str(tmp_path)), 3)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["gett"], "there is no command 'gett'; did you mean 'get'?"),
        (["zzzzzz"], "there is no command 'zzzzzz'; steer --help shows all"),
        (["get", "pods", "--selectr", "a=b"], "--selector"),
        (["get", "pods", "-o"], "requires an argument"),
        (["get", "depolyments"], "unknown kind 'depolyments'; did you mean 'deployments'?"),
        (["get", "xyzzy"], "unknown kind 'xyzzy'; steer api-resources shows all"),
        (["get", "pods/"], "is not KIND/NAME"),
        (["get", "pods", "-l", "a=(("], "selector"),
        (["get", "pods", "--chunk-size", "-1"], "--chunk-size"),
        (["describe"], "missing argument"),
        (["logs"], "logs of what?"),
        (["config", "veiw"], "no such command 'veiw'. Did you mean 'view'? (see steer config --help)"),
        (["rollout", "statsu", "x"], "status"),
    ],
)
def test_typing_errors(cluster: Cluster, words: list[str], expected: str) -> None:
    done = cluster.run(*words)
    assert done.code in (1, 2)
    one_line(done, done.code, expected)


@pytest.mark.parametrize("words", [[], ["config"], ["create"]])
def test_no_words_show_what_there_is(cluster: Cluster, words: list[str]) -> None:
    done = cluster.run(*words)
    assert done.err.startswith("Usage: steer") or "what?" in done.err
    assert "error: usage" not in done.err


def test_the_reader_of_a_pipe_has_seen_enough(cluster: Cluster, namespace: str) -> None:
    for number in range(40):
        cluster.create(config_map(f"c{number}", namespace, text="x" * 5000))
    environment = {**os.environ, "STEERCONFIG": str(cluster.config)}
    command = f"{sys.executable} -m steersman.cli.main get cm -n {namespace} -o json | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


@pytest.mark.parametrize("words", ["get ns -o json", "explain pod", "version --client", "get ns", "--help"])
def test_a_disk_that_is_full_and_an_output_that_is_closed(cluster: Cluster, words: str) -> None:
    environment = {**os.environ, "STEERCONFIG": str(cluster.config)}
    command = f"{sys.executable} -m steersman.cli.main {words}"
    done = subprocess.run(["sh", "-c", f"{command} > /dev/full"], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "error: cannot write: No space left on device\n")
    done = subprocess.run(["sh", "-c", f"{command} >&-"], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [["get", "pods", "-w"], ["wait", "cm/never", "--for=create"], ["events", "-w"]])
def test_interrupted(cluster: Cluster, namespace: str, words: list[str]) -> None:
    process = cluster.start_process(*words, "-n", namespace, "-v", "6")
    try:
        # It has an answer of the server, and so it is well on its way.
        assert process.stdout is not None
        assert process.stderr is not None
        if words[0] == "get":
            assert "NAME" in process.stdout.readline()
        else:
            assert "ms" in process.stderr.readline()
        process.send_signal(2)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "Traceback" not in err
        assert "error" not in err
    finally:
        process.kill()
        process.communicate()


def test_interrupted_at_any_moment(cluster: Cluster, namespace: str) -> None:
    """Ever later, from before the first import to after the last line."""
    for step in range(12):
        process = cluster.start_process("get", "pods", "-n", namespace)
        # How far it has come by then does not matter: there is no moment at which it may complain.
        with suppress(subprocess.TimeoutExpired):
            process.wait(step * 0.03)
        process.send_signal(2)
        _, err = process.communicate(timeout=20)
        # Before it has begun it is Python that complains.
        assert "in told" not in err
        assert "error: " not in err


def test_requests_are_shown(cluster: Cluster, namespace: str) -> None:
    done = cluster.run("get", "pods", "-n", namespace, "-v", "6")
    assert re.search(r"ListRequest: OK in [\d.]+ ms", done.err)
    done = cluster.run("get", "pods", "-n", namespace, "-v7")
    assert f'namespace: "{namespace}"' in done.err
