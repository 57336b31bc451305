"""Telling load balancers whether this node has endpoints of a Service (`healthCheckNodePort`), over plain HTTP.

With externalTrafficPolicy Local a node without endpoints drops what it is sent; a load balancer asks each node at this
port and sends nothing to those that answer 503.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Mapping

import structlog

from netproxy.compiler import Health

log = structlog.get_logger(__name__)

REQUEST_TIMEOUT_S = 5.0


class HealthPorts:
    """The ports that are served."""

    def __init__(self) -> None:
        self._servers: dict[int, asyncio.Server] = {}
        self._wanted: Mapping[int, Health] = {}

    async def apply(self, wanted: Mapping[int, Health]) -> None:
        """Serves exactly these ports; one that is taken by somebody else is tried again the next time."""
        self._wanted = dict(wanted)
        for port in self._servers.keys() - wanted.keys():
            self._servers.pop(port).close()
        for port in wanted.keys() - self._servers.keys():
            try:
                self._servers[port] = await asyncio.start_server(functools.partial(self._answer, port), port=port)
            except OSError as error:
                log.warning("health check port not served", port=port, service=str(wanted[port]), error=error.strerror)

    async def close(self) -> None:
        """Stops serving."""
        await self.apply({})

    async def _answer(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(response(self._wanted.get(port)))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            log.debug("health check broken off", port=port)
        finally:
            writer.close()


def response(health: Health | None) -> bytes:
    """The HTTP answer: 200 with endpoints here, 503 without; the number of them in a header and in the body."""
    endpoints = health.endpoints if health else 0
    body = json.dumps(
        {
            "service": {"namespace": health.namespace, "name": health.name} if health else {},
            "localEndpoints": endpoints,
            "serviceProxyHealthy": True,
        }
    ).encode()
    head = (
        f"HTTP/1.1 {'200 OK' if endpoints else '503 Service Unavailable'}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"X-Load-Balancing-Endpoint-Weight: {endpoints}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
