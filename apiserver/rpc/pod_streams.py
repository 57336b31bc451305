"""The streams of pods that are relayed to their nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from steersman.core.v1.pod_pb2 import PodAttachRequest, PodExecRequest, PodLogsRequest, PodPortForwardRequest

from apiserver import errors
from apiserver.authn import User
from apiserver.registry import Registry
from apiserver.rpc.agents import NodeChannel, address_of
from apiserver.rpc.guard import Guard

_STREAMS = "/steersman.nodeagent.v1.Streams/"


class StreamHandlers:
    """The rpcs."""

    def __init__(self, pods: Registry, nodes: Registry, guard: Guard, node_channel: NodeChannel) -> None:
        self._pods = pods
        self._nodes = nodes
        self._guard = guard
        self._node_channel = node_channel

    def methods(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """The rpcs by name."""
        return {
            "Logs": grpc.unary_stream_rpc_method_handler(self._guard.stream("pods", "logs", self.logs)),
            "Exec": grpc.stream_stream_rpc_method_handler(self._guard.stream("pods", "exec", self.exec)),
            "Attach": grpc.stream_stream_rpc_method_handler(self._guard.stream("pods", "attach", self.attach)),
            "PortForward": grpc.stream_stream_rpc_method_handler(
                self._guard.stream("pods", "portforward", self.port_forward)
            ),
        }

    async def logs(self, user: User, request: bytes, context: Any) -> AsyncIterator[bytes]:
        """Logs."""
        wanted = PodLogsRequest.FromString(request)
        node, channel = await self._node_of(wanted.namespace, wanted.name)
        method: Any = channel.unary_stream(f"{_STREAMS}Logs")
        call = method(request)
        async for piece in self._relayed(node, call):
            yield piece

    async def exec(self, user: User, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Exec."""
        first = await _first(requests)
        start = PodExecRequest.FromString(first).start
        if not start.command:
            raise errors.BadRequest("start.command", "required")
        async for piece in self._duplex("Exec", start.namespace, start.name, first, requests):
            yield piece

    async def attach(self, user: User, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Attach."""
        first = await _first(requests)
        start = PodAttachRequest.FromString(first).start
        async for piece in self._duplex("Attach", start.namespace, start.name, first, requests):
            yield piece

    async def port_forward(self, user: User, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """PortForward."""
        first = await _first(requests)
        start = PodPortForwardRequest.FromString(first).start
        if not 0 < start.port < 65536:
            raise errors.BadRequest("start.port", f"{start.port} is not a port")
        async for piece in self._duplex("PortForward", start.namespace, start.name, first, requests):
            yield piece

    async def _duplex(
        self, verb: str, namespace: str, name: str, first: bytes, rest: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        node, channel = await self._node_of(namespace, name)

        async def joined() -> AsyncIterator[bytes]:
            yield first
            async for request in rest:
                yield request

        method: Any = channel.stream_stream(f"{_STREAMS}{verb}")
        call = method(joined())
        async for piece in self._relayed(node, call):
            yield piece

    async def _relayed(self, node: str, call: Any) -> AsyncIterator[bytes]:
        """The node's answers; its refusals become ours, word for word."""
        try:
            async for piece in call:
                yield piece
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise errors.NodeUnreachable(node, error.details() or "no answer") from error
            raise errors.Relayed(error.code().value[0], error.details() or error.code().name) from error
        finally:
            call.cancel()

    async def _node_of(self, namespace: str, name: str) -> tuple[str, Any]:
        pod, _ = await self._pods.get_object(namespace, name)
        if not pod.spec.node_name:
            raise errors.NotPossible(f"pod {name!r} runs on no node yet")
        try:
            node, _ = await self._nodes.get_object("", pod.spec.node_name)
        except errors.ObjectNotFound as error:
            raise errors.NodeUnreachable(pod.spec.node_name, "there is no such node") from error
        address = address_of(node)
        if not address:
            raise errors.NodeUnreachable(pod.spec.node_name, "it has not said where its agent listens")
        return pod.spec.node_name, self._node_channel(pod.spec.node_name, address)


async def _first(requests: AsyncIterator[bytes]) -> bytes:
    async for request in requests:
        return request
    raise errors.BadRequest("start", "required: the first message says what to do")
