"""Calls to the container runtime: one channel, one place that measures and names errors."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any, TypeVar, cast

import grpc
from google.protobuf.message import Message

from nodeagent.errors import RuntimeFailedError
from nodeagent.metrics import Metrics

R = TypeVar("R", bound=Message)

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
CALL_TIMEOUT_S = 120.0
PACKAGE = "runtime.v1"


class RuntimeChannel:
    """A connection to the runtime's socket; connects anew by itself when the runtime was restarted."""

    def __init__(self, endpoint: str, metrics: Metrics) -> None:
        """Makes a channel.

        Args:
            endpoint: "unix:///run/containerd/containerd.sock" or a path.
            metrics: where calls are measured.
        """
        path = endpoint.removeprefix("unix://").removeprefix("unix:")
        self._metrics = metrics
        self._channel = grpc.aio.insecure_channel(
            f"unix:{path}",
            options=[
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
                ("grpc.default_authority", "localhost"),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.min_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1000),
                ("grpc.enable_retries", 0),
            ],
        )
        self._methods: dict[str, Any] = {}

    async def call(self, method: str, request: Message, response: type[R], *, timeout_s: float = CALL_TIMEOUT_S) -> R:
        """Makes one call of runtime.v1; `method` is "RuntimeService/Version".

        Raises:
            RuntimeFailedError: the runtime refused or failed it, or is away.
        """
        stub = self._methods.get(method)
        if stub is None:
            stub = self._methods[method] = self._channel.unary_unary(
                f"/{PACKAGE}.{method}",
                request_serializer=type(request).SerializeToString,
                response_deserializer=response.FromString,
            )
        name = method.rpartition("/")[2]
        began = time.perf_counter()
        try:
            return cast(R, await stub(request, timeout=timeout_s))
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            self._metrics.runtime_errors.labels(name, code).inc()
            raise RuntimeFailedError(name, code, error.details() or code) from error
        finally:
            self._metrics.runtime_s.labels(name).observe(time.perf_counter() - began)

    async def stream(self, method: str, request: Message, response: type[R]) -> AsyncIterator[R]:
        """Makes a call that answers with a stream; `method` is its full path.

        Raises:
            RuntimeFailedError: the stream broke.
        """
        stub = self._channel.unary_stream(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        call = stub(request)
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            raise RuntimeFailedError(method, error.code().name, error.details() or "") from error
        finally:
            call.cancel()

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()
