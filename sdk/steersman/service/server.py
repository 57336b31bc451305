"""The gRPC server that every service runs: limits, keepalive, health, reflection, graceful stop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from steersman.service.tls import TLSFiles, server_credentials

# A message may carry an object of 1.5 MB and its envelope; a list page or a snapshot chunk a little more.
MESSAGE_BYTES_MAX = 16 * 1024 * 1024

OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_concurrent_streams", 1_000_000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Two servers on one port would each get a part of the calls; a taken port must be an error.
    ("grpc.so_reuseport", 0),
]


class BindError(Exception):
    """An address cannot be served on.

    Attributes:
        address: the address, as it was asked for.
    """

    def __init__(self, address: str) -> None:
        super().__init__(f"cannot listen on {address}: the address is in use or does not belong to this machine")
        self.address = address


class GrpcServer:
    """A `grpc.aio` server with `grpc.health.v1` and reflection.

    Make it, add ports, `start()`, and `stop()` when done. Health is NOT_SERVING until `set_serving(True)`; a stopping
    server says NOT_SERVING first, so that clients move on before their calls are cut.
    """

    def __init__(
        self,
        handlers: Iterable[grpc.GenericRpcHandler],
        *,
        services: Sequence[str],
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        """Makes a server.

        Args:
            handlers: the service's rpc handlers.
            services: full names of the services, for reflection and health.
            interceptors: run in this order around every call.
            options: channel arguments over and above `OPTIONS`; later ones win.
        """
        self._server = grpc.aio.server(interceptors=list(interceptors), options=[*OPTIONS, *options])
        self._server.add_generic_rpc_handlers(tuple(handlers))
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._services = tuple(services)
        names = (*self._services, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    def listen(self, address: str, tls: TLSFiles | None, *, require_client: bool = True) -> int:
        """Adds a port ("host:port" or "unix:/path") and returns its number (0 for a unix socket).

        Without `tls` the port is plain text.

        Raises:
            BindError: the address cannot be bound.
            TLSFileError: a certificate file cannot be read.
        """
        try:
            if tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, server_credentials(tls, require_client=require_client))
        except RuntimeError as error:
            raise BindError(address) from error
        if port == 0 and not address.startswith("unix:"):
            raise BindError(address)
        return int(port)

    async def start(self) -> None:
        """Begins to accept calls."""
        await self.set_serving(False)
        await self._server.start()

    async def set_serving(self, serving: bool) -> None:
        """Says through the health service whether this service can do its work now."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._services):
            await self._health.set(name, status)

    async def stop(self, grace_s: float = 2.0) -> None:
        """Stops accepting calls, lets running ones end for `grace_s` seconds, then cuts them."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)
