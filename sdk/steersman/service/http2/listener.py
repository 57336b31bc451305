"""Ports, and the certificates that are shown at them."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from steersman.service.http2.connection import Connection
from steersman.service.tls import TLSFileError, TLSFiles

BACKLOG = 1024
HANDSHAKE_S = 10.0


class BindError(Exception):
    """An address cannot be served on.

    Attributes:
        address: the address, as it was asked for.
    """

    def __init__(self, address: str) -> None:
        super().__init__(f"cannot listen on {address}: the address is in use or does not belong to this machine")
        self.address = address


class Listener:
    """One address, bound when it is made; connections are taken from `start` on."""

    def __init__(self, address: str, context: ssl.SSLContext | None) -> None:
        """Binds "host:port" or "unix:/path"; with a `context` clients have to speak TLS.

        Raises:
            BindError: the address cannot be bound.
        """
        self._context = context
        self._servers: list[asyncio.Server] = []
        self._path = ""
        if address.startswith("unix:"):
            self._path = address.removeprefix("unix:").removeprefix("//")
            self._sockets = [_bind_unix(address, self._path)]
            self.port = 0
        else:
            self._sockets = _bind(address)
            self.port = int(self._sockets[0].getsockname()[1])

    async def start(self, make: Callable[[], Connection]) -> None:
        """Begins to take connections."""
        loop = asyncio.get_running_loop()
        for bound in self._sockets:
            handshake_s = HANDSHAKE_S if self._context is not None else None
            self._servers.append(
                await loop.create_server(
                    make, sock=bound, ssl=self._context, backlog=BACKLOG, ssl_handshake_timeout=handshake_s
                )
            )

    def close(self) -> None:
        """Takes no more connections."""
        for server in self._servers:
            server.close()
        for bound in self._sockets:
            bound.close()
        if self._path and self._servers:
            Path(self._path).unlink(missing_ok=True)
        self._servers = []


def _bind(address: str) -> list[socket.socket]:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        number = int(port)
        if not 0 <= number <= 0xFFFF:
            raise BindError(address)
        found = socket.getaddrinfo(host or "::", number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (ValueError, OSError):
        raise BindError(address) from None
    bound: list[socket.socket] = []
    for family, _, _, _, name in dict.fromkeys(found):
        # asyncio sends without delay (TCP_NODELAY) where a socket says that it is one of TCP.
        made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # "[::]" means every address, of either kind; others mean themselves.
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, name[0] != "::")
            # A host's other addresses get the number that the first was given.
            chosen = bound[0].getsockname()[1] if bound and not number else name[1]
            made.bind((name[0], chosen, *name[2:]))
            made.listen(BACKLOG)
        except OSError as error:
            made.close()
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) and len(found) > 1:
                continue
            for other in bound:
                other.close()
            raise BindError(address) from None
        bound.append(made)
    if not bound:
        raise BindError(address)
    return bound


def _bind_unix(address: str, path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if Path(path).is_socket():
            if _is_served(path):
                raise BindError(address)
            # What a server that was killed has left behind.
            Path(path).unlink(missing_ok=True)
        made.bind(path)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise BindError(address) from None
    except BindError:
        made.close()
        raise
    return made


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


class _Renewed(ssl.SSLContext):
    """Gives each connection what its files held last.

    Not by changing the context in the middle of a handshake: a session that a client has kept would then be taken up
    again, whoever signed its certificate.
    """

    _files: TLSFiles
    _require_client: bool
    _seen: tuple[int, ...]
    _latest: ssl.SSLContext

    @classmethod
    def of(cls, files: TLSFiles, require_client: bool) -> _Renewed:
        """A context for files. Raises TLSFileError."""
        made = cls(ssl.PROTOCOL_TLS_SERVER)
        made._files, made._require_client = files, require_client
        try:
            made._seen = _versions(files)
        except OSError:
            made._seen = ()
        made._latest = _load(files, require_client)
        return made

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """As every context does; asyncio begins each connection so."""
        try:
            versions = _versions(self._files)
            if versions != self._seen:
                self._latest, self._seen = _load(self._files, self._require_client), versions
        except (OSError, TLSFileError):
            # A renewal in the middle of replacing its files: the old pair still serves.
            pass
        return self._latest.wrap_bio(*arguments, **options)


def server_context(files: TLSFiles, *, require_client: bool) -> ssl.SSLContext:
    """What a port shows and asks for. Files that change are read again, so that a renewal needs no restart.

    Without `require_client` a client is asked for a certificate and may have none; one that it shows has to be good.

    Raises:
        TLSFileError: a file is missing or unreadable.
    """
    return _Renewed.of(files, require_client)


def _versions(files: TLSFiles) -> tuple[int, ...]:
    return tuple(path.stat().st_mtime_ns for path in (files.certificate, files.key, files.authority))


def _load(files: TLSFiles, require_client: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    context.verify_mode = ssl.CERT_REQUIRED if require_client else ssl.CERT_OPTIONAL
    for path in (files.certificate, files.key, files.authority):
        try:
            path.read_bytes()
        except OSError as error:
            raise TLSFileError(path, error.strerror or str(error)) from error
    try:
        context.load_cert_chain(files.certificate, files.key)
    except ssl.SSLError as error:
        raise TLSFileError(files.certificate, f"not a certificate with its key ({error.reason})") from error
    try:
        context.load_verify_locations(files.authority)
    except ssl.SSLError as error:
        raise TLSFileError(files.authority, f"not a certificate ({error.reason})") from error
    return context
