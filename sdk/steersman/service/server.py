"""The gRPC server that every service runs: limits, keepalive, health, reflection, graceful stop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from steersman.service.http2.connection import Connection, Limits
from steersman.service.http2.listener import BindError, Listener, server_context
from steersman.service.http2.methods import Methods
from steersman.service.tls import TLSFiles

__all__ = ["MESSAGE_BYTES_MAX", "BindError", "GrpcServer"]

# A message may carry an object of 1.5 MB and its envelope; a list page or a snapshot chunk a little more.
MESSAGE_BYTES_MAX = 16 * 1024 * 1024


class GrpcServer:
    """A gRPC server with `grpc.health.v1` and reflection.

    Make it, add ports, `start()`, and `stop()` when done. Health is NOT_SERVING until `set_serving(True)`; a stopping
    server says NOT_SERVING first, so that clients move on before their calls are cut.
    """

    def __init__(
        self,
        handlers: Iterable[grpc.GenericRpcHandler],
        *,
        services: Sequence[str],
        message_bytes_max: int = MESSAGE_BYTES_MAX,
    ) -> None:
        """Makes a server.

        Args:
            handlers: the service's rpc handlers; their functions are those of `grpc.aio`.
            services: full names of the services, for reflection and health.
            message_bytes_max: largest request message that is taken.

        Attributes:
            connections: those that clients have now.
        """
        self._methods = Methods()
        self._methods.add_generic_rpc_handlers(handlers)
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._methods)
        self._services = tuple(services)
        names = (*self._services, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            reflection.aio.ReflectionServicer(names), self._methods
        )
        self._limits = Limits(message_bytes_max)
        self._listeners: list[Listener] = []
        self.connections: set[Connection] = set()

    def listen(self, address: str, tls: TLSFiles | None, *, require_client: bool = True) -> int:
        """Adds a port ("host:port" or "unix:/path") and returns its number (0 for a unix socket).

        Without `tls` the port is plain text. Without `require_client` clients need no certificate; one that they show
        has to be good.

        Raises:
            BindError: the address cannot be bound.
            TLSFileError: a certificate file cannot be read.
        """
        context = server_context(tls, require_client=require_client) if tls is not None else None
        listener = Listener(address, context)
        self._listeners.append(listener)
        return listener.port

    async def start(self) -> None:
        """Begins to accept calls."""
        await self.set_serving(False)
        for listener in self._listeners:
            await listener.start(lambda: Connection(self._methods, self._limits, self.connections))

    async def set_serving(self, serving: bool) -> None:
        """Says through the health service whether this service can do its work now."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._services):
            await self._health.set(name, status)

    async def stop(self, grace_s: float = 2.0) -> None:
        """Stops accepting calls, lets running ones end for `grace_s` seconds, then cuts them."""
        await self._health.enter_graceful_shutdown()
        for listener in self._listeners:
            listener.close()
        running = []
        for connection in list(self.connections):
            running += connection.drain()
        if running and grace_s > 0:
            await asyncio.wait(running, timeout=grace_s)
        handlers = [task for connection in list(self.connections) for task in connection.cut()]
        if handlers:
            await asyncio.wait(handlers, timeout=grace_s)
