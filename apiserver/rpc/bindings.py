"""Pods/Bind and Pods/BindMany: pods get their nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from steersman.clock import Clock, to_timestamp
from steersman.core.v1.pod_pb2 import PodBindManyRequest, PodBindManyResponse, PodBindRequest
from steersman.meta.v1.requests_pb2 import WriteOptions

from apiserver import errors
from apiserver.authn import User
from apiserver.registry import WHOLE, Registry, Written
from apiserver.rpc.errors import status_of
from apiserver.rpc.guard import Guard
from apiserver.watchcache import frames

# So many bindings of one stream are worked on at once; further requests wait in the connection.
AT_ONCE = 256


class BindingHandlers:
    """The rpcs."""

    def __init__(self, pods: Registry, guard: Guard, clock: Clock) -> None:
        self._pods = pods
        self._guard = guard
        self._clock = clock

    def methods(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """The rpcs by name."""
        return {
            "Bind": grpc.unary_unary_rpc_method_handler(
                self._guard.unary("pods", "bind", self.bind), request_deserializer=PodBindRequest.FromString
            ),
            "BindMany": grpc.stream_stream_rpc_method_handler(
                self._guard.stream("pods", "bindmany", self.bind_many),
                request_deserializer=PodBindManyRequest.FromString,
            ),
        }

    async def bind(self, user: User, request: PodBindRequest, context: Any) -> bytes:
        """Bind."""
        written = await self._place(user, request)
        data: bytes = written.obj.SerializeToString()
        return frames.versioned(data, written.revision)

    async def bind_many(
        self, user: User, requests: AsyncIterator[PodBindManyRequest], context: Any
    ) -> AsyncIterator[bytes]:
        """BindMany."""
        under_way: asyncio.Queue[asyncio.Task[PodBindManyResponse] | None] = asyncio.Queue(AT_ONCE)
        started: set[asyncio.Task[PodBindManyResponse]] = set()

        async def start() -> None:
            async for request in requests:
                task = asyncio.create_task(self._result(user, request))
                started.add(task)
                task.add_done_callback(started.discard)
                await under_way.put(task)
            await under_way.put(None)

        starter = asyncio.create_task(start())
        # A stream that breaks ends the wait for its results too.
        starter.add_done_callback(lambda done: _end(under_way) if not done.cancelled() and done.exception() else None)
        try:
            while (task := await under_way.get()) is not None:
                yield (await task).SerializeToString()
            await starter
        finally:
            starter.cancel()
            for task in [*started]:
                task.cancel()
            await asyncio.gather(starter, *started, return_exceptions=True)

    async def _result(self, user: User, request: PodBindManyRequest) -> PodBindManyResponse:
        try:
            written = await self._place(user, request.bind)
        except Exception as error:
            status = status_of(error)
            if status is None:
                raise
            return _failed(request.id, status)
        return PodBindManyResponse(id=request.id, resource_version=str(written.revision))

    async def _place(self, user: User, request: PodBindRequest) -> Written:
        if not request.node_name:
            raise errors.BadRequest("node_name", "required")
        now = to_timestamp(self._clock.now(), whole_seconds=True)

        async def place(pod: Any) -> Any:
            if pod.metadata.HasField("deletion_timestamp"):
                raise errors.NotPossible(f"pod {request.name!r} is being deleted")
            if pod.spec.node_name:
                raise errors.Conflicting("pods", request.name, f"it is bound to node {pod.spec.node_name!r} already")
            if pod.spec.scheduling_gates:
                gates = ", ".join(gate.name for gate in pod.spec.scheduling_gates)
                raise errors.NotPossible(f"pod {request.name!r} is held back by scheduling gates: {gates}")
            pod.spec.node_name = request.node_name
            kept = [condition for condition in pod.status.conditions if condition.type != "PodScheduled"]
            del pod.status.conditions[:]
            pod.status.conditions.extend(kept)
            pod.status.conditions.add(type="PodScheduled", status="True", last_transition_time=now)
            pod.status.ClearField("nominated_node_name")
            return pod

        return await self._pods.modify(
            user, request.namespace, request.name, place, WriteOptions(), uid=request.uid, mode=WHOLE
        )


def _end(queue: asyncio.Queue[Any]) -> None:
    """Makes room for the end, where there is none: results of a broken stream reach nobody."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(None)


def _failed(request_id: int, status: Any) -> PodBindManyResponse:
    """A failure in the words that Bind would have used."""
    made = PodBindManyResponse(id=request_id)
    made.failure.code, made.failure.message = status.code.value[0], status.details
    for _, packed in status.trailing_metadata:
        for detail in status_pb2.Status.FromString(packed).details:
            made.failure.reason = made.failure.reason or _reason(detail)
    return made


def _reason(detail: AnyMessage) -> str:
    info = error_details_pb2.ErrorInfo()
    return str(info.reason) if detail.Unpack(info) else ""
