"""`/metrics` for Prometheus, over HTTPS with client certificates like every other link."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from wsgiref.simple_server import WSGIServer
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, start_http_server

from steersman.service.flags import host_port
from steersman.service.tls import TLSFiles


def with_pages(application: Any, pages: Mapping[str, Callable[[], str]]) -> Any:
    """The application, with plain-text pages beside it: path ("/proxyMode") to what is answered there."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        page = pages.get(environ.get("PATH_INFO", ""))
        if page is None:
            answer: Iterable[bytes] = application(environ, start_response)
            return answer
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return [page().encode()]

    return serve


class MetricsServer:
    """Serves a registry until it is stopped. The server has a thread of its own, so a busy loop still shows itself."""

    def __init__(self, server: WSGIServer, thread: threading.Thread) -> None:
        self._server = server
        self._thread = thread

    @classmethod
    def start(
        cls,
        address: str,
        files: TLSFiles | None,
        registry: CollectorRegistry,
        *,
        extra: Mapping[str, Callable[[], str]] | None = None,
    ) -> MetricsServer | None:
        """Starts serving at "host:port"; None when the address is empty.

        Without `files` it serves plain HTTP, which services allow on loopback only. `extra` adds plain-text pages: a
        path, and a function that makes the page, called in the server's thread.

        Raises:
            OSError: the address cannot be bound.
        """
        if not address:
            return None
        host, port = host_port(address)
        if files is None:
            server, thread = start_http_server(port, addr=host, registry=registry)
        else:
            server, thread = start_http_server(
                port,
                addr=host,
                registry=registry,
                certfile=str(files.certificate),
                keyfile=str(files.key),
                client_cafile=str(files.authority),
                client_auth_required=True,
            )
        if extra:
            server.set_app(with_pages(server.get_app(), extra))
        return cls(server, thread)

    def stop(self) -> None:
        """Stops serving; idempotent."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2)
