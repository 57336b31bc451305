"""All services on one gRPC server."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from steersman.service.server import GrpcServer

from store.rpc.calls import CallCounts, Handler, Shape, StreamMethod, UnaryMethod, streaming, unary

_SHAPES = {"Snapshot": Shape.RESPONSES, "InstallSnapshot": Shape.REQUESTS}


class ServiceTable:
    """Services by name, with their methods."""

    def __init__(self, calls: CallCounts) -> None:
        self._calls = calls
        self._handlers: dict[str, dict[str, Handler]] = {}

    def add(
        self, service: str, methods: Mapping[str, UnaryMethod], streams: Mapping[str, StreamMethod] | None = None
    ) -> None:
        """Adds a service."""
        handlers = self._handlers.setdefault(service, {})
        for name, method in methods.items():
            handlers[name] = unary(method, self._calls.of(service, name))
        for name, stream in (streams or {}).items():
            count = self._calls.of(service, name)
            handlers[name] = streaming(stream, count, _SHAPES.get(name, Shape.BOTH))

    def server(self) -> GrpcServer:
        """A server of all of them."""
        handlers = [
            grpc.method_handlers_generic_handler(service, methods) for service, methods in self._handlers.items()
        ]
        return GrpcServer(handlers, services=list(self._handlers))
