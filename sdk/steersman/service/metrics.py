"""`/metrics` for Prometheus, over HTTPS with client certificates like every other link."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import ThreadingHTTPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app

from steersman.service.flags import host_port
from steersman.service.server import BindError
from steersman.service.tls import TLSFiles

_REUSE = (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


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


class _Server(ThreadingHTTPServer, WSGIServer):
    """A WSGI server that does not ask DNS for its own name, as the standard one does while it starts."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Binds, and takes its address for its name."""
        self.socket.setsockopt(*_REUSE)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that breaks off, or without a certificate, is no news."""


class _QuietHandler(WSGIRequestHandler):
    """Does not write a line for every request, and does not wait for ever for one."""

    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


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
            BindError: the address cannot be bound.
        """
        if not address:
            return None
        application = with_pages(make_wsgi_app(registry), extra or {})
        try:
            server = _Server(host_port(address), _QuietHandler)
        except OSError as error:
            raise BindError(address) from error
        server.set_app(application)
        if files is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.authority))
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_cert_chain(str(files.certificate), str(files.key))
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
        thread.start()
        return cls(server, thread)

    @property
    def port(self) -> int:
        """The port that is served, also when 0 was asked for."""
        return int(self._server.server_port)

    def stop(self) -> None:
        """Stops serving; idempotent."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2)
