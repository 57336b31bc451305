"""What probes and lifecycle hooks do: run a command, ask over HTTP, TCP or gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from steersman.core.v1.container_pb2 import Container
from steersman.core.v1.probe_pb2 import HTTPGetAction, LifecycleHandler, ProbeHandler, TCPSocketAction
from steersman.meta.v1.values_pb2 import IntOrString

from nodeagent.cri.runtime import Runtime
from nodeagent.errors import RuntimeFailedError

OUTPUT_CHARACTERS_MAX = 1024
HEAD_BYTES_MAX = 64 * 1024
USER_AGENT = "kube-probe/1.34"


@dataclass(frozen=True)
class Answer:
    """How a probe or hook ended.

    Attributes:
        ok: whether it succeeded.
        message: what it said, for people.
    """

    ok: bool
    message: str = ""


@dataclass(frozen=True)
class Target:
    """What is asked.

    Attributes:
        container: as the pod specifies it, for the names of its ports.
        container_id: the running container.
        pod_ip: its pod's address.
    """

    container: Container
    container_id: str
    pod_ip: str


def _port(value: IntOrString, container: Container) -> int:
    if value.type == 0:
        return value.int_val
    named = next((port.container_port for port in container.ports if port.name == value.str_val), 0)
    if named:
        return named
    return int(value.str_val) if value.str_val.isdigit() else 0


class Handlers:
    """Carries out handlers; an answer is never an exception."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def probe(self, handler: ProbeHandler, target: Target, timeout_s: float) -> Answer:
        """Asks once; no answer within `timeout_s` seconds is a failure."""
        if handler.HasField("grpc"):
            service = handler.grpc.service
            return await self._within(timeout_s, _grpc(target.pod_ip, handler.grpc.port, service, timeout_s))
        return await self._within(timeout_s, self._common(handler, target, timeout_s))

    async def hook(self, handler: LifecycleHandler, target: Target, timeout_s: float) -> Answer:
        """Runs a hook; one that is not done within `timeout_s` seconds has failed."""
        if handler.HasField("sleep"):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await asyncio.sleep(handler.sleep.seconds)
            return Answer(True)
        return await self._within(timeout_s, self._common(handler, target, timeout_s))

    @staticmethod
    async def _within(timeout_s: float, work: Awaitable[Answer]) -> Answer:
        try:
            async with asyncio.timeout(timeout_s):
                return await work
        except TimeoutError:
            return Answer(False, f"no answer within {timeout_s:g} s")
        except (OSError, ValueError, EOFError, asyncio.IncompleteReadError) as error:
            return Answer(False, str(error) or type(error).__name__)

    async def _common(self, handler: ProbeHandler | LifecycleHandler, target: Target, timeout_s: float) -> Answer:
        if handler.HasField("exec"):
            return await self._exec(target.container_id, handler.exec.command, timeout_s)
        if handler.HasField("http_get"):
            return await _http(handler.http_get, target)
        if handler.HasField("tcp_socket"):
            return await _tcp(handler.tcp_socket, target)
        return Answer(False, "the handler says nothing to do")

    async def _exec(self, container_id: str, command: Sequence[str], timeout_s: float) -> Answer:
        try:
            result = await self._runtime.run_command(container_id, command, timeout_s)
        except RuntimeFailedError as error:
            return Answer(False, error.message)
        output = result.output.decode(errors="replace").strip()[:OUTPUT_CHARACTERS_MAX]
        if result.exit_code == 0:
            return Answer(True, output)
        return Answer(False, output or f"the command ended with exit code {result.exit_code}")


async def _tcp(action: TCPSocketAction, target: Target) -> Answer:
    _, writer = await asyncio.open_connection(action.host or target.pod_ip, _port(action.port, target.container))
    writer.close()
    return Answer(True)


async def _http(action: HTTPGetAction, target: Target) -> Answer:
    """One GET over HTTP/1.1; 200-399 is success. Certificates are not checked, as in Kubernetes."""
    host = action.host or target.pod_ip
    port = _port(action.port, target.container)
    context: ssl.SSLContext | None = None
    if action.scheme == "HTTPS":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    headers = {"Host": f"{host}:{port}", "User-Agent": USER_AGENT, "Accept": "*/*", "Connection": "close"}
    for header in action.http_headers:
        headers[header.name.title()] = header.value
    path = action.path or "/"
    path = path if path.startswith("/") else f"/{path}"
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    request = "\r\n".join([*lines, "", ""])
    reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=HEAD_BYTES_MAX)
    try:
        writer.write(request.encode())
        await writer.drain()
        words = (await reader.readline()).decode(errors="replace").split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
            return Answer(False, "the answer is not HTTP")
        status = int(words[1])
    finally:
        writer.close()
    if 200 <= status < 400:
        return Answer(True, f"HTTP {status}")
    return Answer(False, f"HTTP probe failed with statuscode: {status}")


async def _grpc(ip: str, port: int, service: str, timeout_s: float) -> Answer:
    import grpc
    from grpc_health.v1 import health_pb2

    host = f"[{ip}]" if ":" in ip else ip
    async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = await check(health_pb2.HealthCheckRequest(service=service), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            return Answer(False, f"{error.code().name}: {error.details()}")
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return Answer(True, "SERVING")
    return Answer(False, f"service unhealthy (responded with {answer.status})")
