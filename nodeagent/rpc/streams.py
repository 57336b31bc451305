"""steersman.nodeagent.v1.Streams: logs, commands and connections of this node's pods, for the apiserver only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import grpc
import structlog
from steersman.clock import Clock, from_timestamp
from steersman.core.v1.container_pb2 import Container
from steersman.core.v1.pod_pb2 import (
    Pod,
    PodAttachRequest,
    PodAttachResponse,
    PodExecRequest,
    PodExecResponse,
    PodLogsRequest,
    PodLogsResponse,
    PodPortForwardRequest,
    PodPortForwardResponse,
)
from steersman.nodeagent.v1 import streams_pb2
from steersman.service.tls import identity_of

from nodeagent import logs
from nodeagent.cri.exec import ExecSession, Exit, Output
from nodeagent.cri.runtime import Runtime
from nodeagent.errors import RuntimeFailedError
from nodeagent.folders import Folders
from nodeagent.network import namespace
from nodeagent.pod import plan
from nodeagent.pod.state import ContainerRecord, Life
from nodeagent.pods import Pods
from nodeagent.rpc.errors import BadRequestError, NotAllowedError, NotHereError, NotRunningError, status_of
from nodeagent.sockets import open_connection
from nodeagent.worker import PodWorker

log = structlog.get_logger(__name__)

SERVICE: str = streams_pb2.DESCRIPTOR.services_by_name["Streams"].full_name
APISERVER_USER = "kube-apiserver"
ADMIN_GROUP = "system:masters"
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
CHUNK_BYTES = 64 * 1024

Context = grpc.aio.ServicerContext[Any, Any]


def may_call(auth_context: Any) -> bool:
    """Whether the caller is the apiserver or an administrator."""
    identity = identity_of(auth_context)
    return identity is not None and (identity.user == APISERVER_USER or ADMIN_GROUP in identity.groups)


class Streams:
    """The rpc edge of the agent."""

    def __init__(self, pods: Pods, runtime: Runtime, folders: Folders, clock: Clock, *, open_to_all: bool) -> None:
        """Makes it.

        Args:
            pods: the workers.
            runtime: the container runtime.
            folders: where logs are.
            clock: for logs since so many seconds.
            open_to_all: serve callers without a certificate too, on a port without TLS.
        """
        self._pods = pods
        self._runtime = runtime
        self._folders = folders
        self._clock = clock
        self._open = open_to_all

    def handler(self) -> grpc.GenericRpcHandler:
        """What the gRPC server is given."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Logs": grpc.unary_stream_rpc_method_handler(
                    self._guarded(self._logs),
                    request_deserializer=PodLogsRequest.FromString,
                    response_serializer=PodLogsResponse.SerializeToString,
                ),
                "Exec": grpc.stream_stream_rpc_method_handler(
                    self._guarded(self._exec),
                    request_deserializer=PodExecRequest.FromString,
                    response_serializer=PodExecResponse.SerializeToString,
                ),
                "Attach": grpc.stream_stream_rpc_method_handler(
                    self._guarded(self._attach),
                    request_deserializer=PodAttachRequest.FromString,
                    response_serializer=PodAttachResponse.SerializeToString,
                ),
                "PortForward": grpc.stream_stream_rpc_method_handler(
                    self._guarded(self._port_forward),
                    request_deserializer=PodPortForwardRequest.FromString,
                    response_serializer=PodPortForwardResponse.SerializeToString,
                ),
            },
        )

    def _guarded(self, serve: Callable[[Any], AsyncIterator[Any]]) -> Any:
        """Checks the caller, and turns what goes wrong into a status."""

        async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:
            try:
                if not self._open and not may_call(context.auth_context()):
                    raise NotAllowedError(f"only {APISERVER_USER} and {ADMIN_GROUP} may call {SERVICE}")
                async for response in serve(request):
                    yield response
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except Exception as error:
                code, message = status_of(error)
                if code is grpc.StatusCode.INTERNAL:
                    log.exception("stream failed")
                await context.abort(code, message)

        return guarded

    def _find(self, pod_namespace: str, name: str) -> tuple[PodWorker, Pod]:
        worker = self._pods.find(pod_namespace, name)
        if worker is None or worker.pod is None:
            raise NotHereError(f"pod {pod_namespace}/{name} is not on this node")
        return worker, worker.pod

    @staticmethod
    def _container(pod: Pod, name: str) -> Container:
        every = [*pod.spec.containers, *pod.spec.init_containers, *plan.ephemeral(pod)]
        name = name or pod.metadata.annotations.get(DEFAULT_CONTAINER, "")
        if not name:
            if len(pod.spec.containers) == 1:
                return pod.spec.containers[0]
            choices = " ".join(each.name for each in every)
            raise BadRequestError(f"a container name must be given for pod {pod.metadata.name}, one of: {choices}")
        for each in every:
            if each.name == name:
                return each
        raise BadRequestError(f"container {name} is not in pod {pod.metadata.name}")

    def _running(self, worker: PodWorker, pod: Pod, name: str) -> ContainerRecord:
        container = self._container(pod, name)
        record = worker.runtime.latest(container.name)
        if record is None or record.life is not Life.RUNNING:
            raise NotRunningError(f"container {container.name} of pod {pod.metadata.name} is not running")
        return record

    async def _logs(self, request: PodLogsRequest) -> AsyncIterator[PodLogsResponse]:
        worker, pod = self._find(request.namespace, request.name)
        container = self._container(pod, request.container)
        record = _record_for_logs(worker, pod, container.name, previous=request.previous)
        since = None
        if request.HasField("since_time"):
            since = from_timestamp(request.since_time)
        elif request.HasField("since_seconds"):
            since = self._clock.now() - timedelta(seconds=request.since_seconds)
        query = logs.LogQuery(
            follow=request.follow,
            tail_lines=request.tail_lines if request.HasField("tail_lines") else None,
            since=since,
            timestamps=request.timestamps,
            limit_bytes=request.limit_bytes if request.HasField("limit_bytes") else None,
        )
        identity = worker.identity
        path = self._folders.log(identity.namespace, identity.name, identity.uid, record.name, record.attempt)

        def alive() -> bool:
            return any(each.id == record.id and each.alive for each in worker.runtime.containers)

        try:
            async for data in logs.read(path, query, alive):
                yield PodLogsResponse(data=data)
        except FileNotFoundError as error:
            raise NotHereError(f"container {record.name} has no log") from error

    async def _exec(self, requests: AsyncIterator[PodExecRequest]) -> AsyncIterator[PodExecResponse]:
        first = await anext(aiter(requests), None)
        if first is None or not first.HasField("start"):
            raise BadRequestError("the first message must be start")
        start = first.start
        if not start.command:
            raise BadRequestError("start.command must name a program")
        worker, pod = self._find(start.namespace, start.name)
        record = self._running(worker, pod, start.container)
        url = await self._runtime.exec_url(record.id, start.command, stdin=start.stdin, tty=start.tty)
        async with (
            ExecSession(url, stdin=start.stdin, tty=start.tty) as session,
            _beside(_feed(session, requests)),
        ):
            async for piece in session.output():
                if isinstance(piece, Exit):
                    if piece.code and piece.message:
                        log.debug("command ended", code=piece.code, message=piece.message)
                    yield PodExecResponse(exit_code=piece.code)
                elif piece.stderr:
                    yield PodExecResponse(stderr=piece.data)
                else:
                    yield PodExecResponse(stdout=piece.data)

    async def _attach(self, requests: AsyncIterator[PodAttachRequest]) -> AsyncIterator[PodAttachResponse]:
        first = await anext(aiter(requests), None)
        if first is None or not first.HasField("start"):
            raise BadRequestError("the first message must be start")
        start = first.start
        worker, pod = self._find(start.namespace, start.name)
        record = self._running(worker, pod, start.container)
        container = self._container(pod, start.container)
        if start.stdin and not container.stdin:
            raise BadRequestError(f"container {container.name} of pod {start.name} reads no standard input")
        url = await self._runtime.attach_url(record.id, stdin=start.stdin, tty=container.tty)
        async with (
            ExecSession(url, stdin=start.stdin, tty=container.tty) as session,
            _beside(_feed(session, requests)),
        ):
            async for piece in session.output():
                if isinstance(piece, Output):
                    yield (
                        PodAttachResponse(stderr=piece.data) if piece.stderr else PodAttachResponse(stdout=piece.data)
                    )

    async def _port_forward(
        self, requests: AsyncIterator[PodPortForwardRequest]
    ) -> AsyncIterator[PodPortForwardResponse]:
        first = await anext(aiter(requests), None)
        if first is None or not first.HasField("start"):
            raise BadRequestError("the first message must be start")
        start = first.start
        if not 0 < start.port < 65536:
            raise BadRequestError(f"start.port {start.port} is not a port")
        worker, pod = self._find(start.namespace, start.name)
        sandbox = worker.runtime.sandbox
        if sandbox is None:
            raise NotRunningError(f"pod {start.name} is not running")
        inside = None if pod.spec.host_network else await self._network_namespace(sandbox.id)
        connection = await namespace.connect(inside, start.port)
        async with _streams(connection) as (reader, writer):
            # The caller may wait for it before it sends anything.
            yield PodPortForwardResponse()

            async def feed() -> None:
                async for request in requests:
                    if request.HasField("data"):
                        writer.write(request.data)
                        await writer.drain()
                    elif request.HasField("eof") and writer.can_write_eof():
                        writer.write_eof()

            async with _beside(feed()):
                while data := await reader.read(CHUNK_BYTES):
                    yield PodPortForwardResponse(data=data)

    async def _network_namespace(self, sandbox_id: str) -> str:
        """Path of a sandbox's network namespace."""
        status = await self._runtime.sandbox_status(sandbox_id, verbose=True)
        try:
            info = json.loads(status.info["info"])
            for each in info["runtimeSpec"]["linux"]["namespaces"]:
                if each["type"] == "network" and each.get("path"):
                    return str(each["path"])
            return f"/proc/{info['pid']}/ns/net"
        except (KeyError, ValueError) as error:
            raise RuntimeFailedError(
                "PodSandboxStatus", "INTERNAL", "it does not tell the network namespace"
            ) from error


def _record_for_logs(worker: PodWorker, pod: Pod, name: str, *, previous: bool) -> ContainerRecord:
    """The container whose log is meant: the newest, or with `previous` the one that ended before it.

    Of a container that waits for its next start, the one that ended last is both.
    """
    latest = worker.runtime.latest(name)
    if not previous:
        if latest is None:
            raise BadRequestError(f"container {name} in pod {pod.metadata.name} is waiting to start")
        return latest
    waits = any(
        each.name == name and each.state.HasField("waiting")
        for each in (*pod.status.container_statuses, *pod.status.init_container_statuses)
    )
    found = latest if latest is not None and latest.life is Life.EXITED and waits else worker.runtime.previous(name)
    if found is None:
        raise BadRequestError(f"previous terminated container {name} in pod {pod.metadata.name} not found")
    return found


async def _feed(
    session: ExecSession, requests: AsyncIterator[PodExecRequest] | AsyncIterator[PodAttachRequest]
) -> None:
    """Passes on what a caller sends after the beginning."""
    async for request in requests:
        if request.HasField("stdin"):
            await session.write(request.stdin)
        elif request.HasField("stdin_eof"):
            await session.end_input()
        elif request.HasField("resize"):
            await session.resize(request.resize.width, request.resize.height)


@contextlib.asynccontextmanager
async def _beside(work: Awaitable[None]) -> AsyncIterator[None]:
    """Runs `work` beside the block and ends it with the block; its own end or failure does not matter to the block."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError, grpc.RpcError):
            await task


@contextlib.asynccontextmanager
async def _streams(connection: socket.socket) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await open_connection(connection)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
