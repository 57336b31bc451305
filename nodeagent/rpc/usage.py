"""What the node and its containers use, as the apiserver asks for it."""

from __future__ import annotations

from typing import Any

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from steersman.nodeagent.v1 import usage_pb2
from steersman.nodeagent.v1.usage_pb2 import ContainerUsage, GetUsageRequest, NodeUsage, Usage

from nodeagent.rpc.errors import NotAllowedError, status_of
from nodeagent.rpc.streams import ADMIN_GROUP, APISERVER_USER, may_call
from nodeagent.usage.meter import Meter
from nodeagent.usage.rates import Rate

log = structlog.get_logger(__name__)

SERVICE: str = usage_pb2.DESCRIPTOR.services_by_name["Usages"].full_name

Context = grpc.aio.ServicerContext[Any, Any]


class Usages:
    """The rpc edge of the meter."""

    def __init__(self, meter: Meter, *, open_to_all: bool) -> None:
        """Makes it.

        Args:
            meter: what measures.
            open_to_all: serve callers without a certificate too, on a port without TLS.
        """
        self._meter = meter
        self._open = open_to_all

    def handler(self) -> grpc.GenericRpcHandler:
        """What the gRPC server is given."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Get": grpc.unary_unary_rpc_method_handler(
                    self._get,
                    request_deserializer=GetUsageRequest.FromString,
                    response_serializer=NodeUsage.SerializeToString,
                )
            },
        )

    async def _get(self, request: GetUsageRequest, context: Context) -> NodeUsage:
        try:
            if not self._open and not may_call(context.auth_context()):
                raise NotAllowedError(f"only {APISERVER_USER} and {ADMIN_GROUP} may call {SERVICE}")
            measured = await self._meter.measure()
        except Exception as error:
            code, message = status_of(error)
            if code is grpc.StatusCode.INTERNAL:
                log.exception("measuring failed")
            await context.abort(code, message)
        answer = NodeUsage()
        if measured.node is not None:
            answer.node.CopyFrom(_usage(measured.node))
        if not request.without_containers:
            answer.containers.extend(
                ContainerUsage(pod_uid=use.pod_uid, name=use.name, usage=_usage(rate))
                for use, rate in measured.containers
            )
        return answer


def _usage(rate: Rate) -> Usage:
    time, window = Timestamp(), Duration()
    time.FromNanoseconds(rate.time_ns)
    window.FromNanoseconds(rate.window_ns)
    return Usage(time=time, window=window, cpu_nanocores=rate.cpu_nanocores, memory_bytes=rate.memory_bytes)
