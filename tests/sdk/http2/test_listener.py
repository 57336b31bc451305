"""Ports and certificates."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from steersman.pki import Authority, write_identity
from steersman.service.server import BindError, GrpcServer
from steersman.service.tls import TLSFileError, TLSFiles, client_context, identity_of

from tests.sdk.http2.conftest import SERVICE

NOW = datetime.now(UTC)


async def _who(_request: bytes, context: object) -> bytes:
    identity = identity_of(context.auth_context())
    return b"nobody" if identity is None else f"{identity.user} {','.join(identity.groups)}".encode()


def _server() -> GrpcServer:
    handler = grpc.method_handlers_generic_handler(SERVICE, {"Who": grpc.unary_unary_rpc_method_handler(_who)})
    return GrpcServer([handler], services=[])


class Site:
    """An authority, a server's files, and clients."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority.create("test", now=NOW)
        (folder / "ca.crt").write_bytes(self.authority.pem())
        self.renew("first")
        self.files = TLSFiles(folder / "server.crt", folder / "server.key", folder / "ca.crt")
        self.port = 0

    def renew(self, name: str) -> None:
        """A new certificate of the server."""
        write_identity(self.folder, "server", self.authority, name, hosts=["localhost", name], now=NOW)
        stamp = (self.folder / "server.crt").stat().st_mtime_ns
        # Two renewals may fall into one tick of the file system's clock.
        os.utime(self.folder / "server.crt", ns=(stamp + 1000, stamp + 1000))

    async def ask(self, authority: Authority | None, *, name: str = "localhost") -> bytes:
        certificate = key = None
        if authority is not None:
            certificate, key = authority.issue("ann", groups=["g1", "g2"], now=NOW)
        credentials = grpc.ssl_channel_credentials(self.authority.pem(), key, certificate)
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.ssl_target_name_override", name)]
        async with grpc.aio.secure_channel(f"localhost:{self.port}", credentials, options=options) as channel:
            answer: bytes = await channel.unary_unary(f"/{SERVICE}/Who")(b"", timeout=10)
            return answer


@pytest.fixture
async def site(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    server = _server()
    made.port = server.listen("localhost:0", made.files, require_client=getattr(request, "param", True))
    await server.start()
    yield made
    await server.stop(0)


async def test_a_certificate_names_the_caller(site: Site) -> None:
    assert await site.ask(site.authority) == b"ann g1,g2"


async def test_without_a_certificate_there_is_no_way_in(site: Site) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await site.ask(None)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("site", [False], indirect=True)
async def test_where_none_is_required_one_still_counts(site: Site) -> None:
    assert await site.ask(None) == b"nobody"
    assert await site.ask(site.authority) == b"ann g1,g2"


@pytest.mark.parametrize("site", [True, False], indirect=True)
async def test_another_authoritys_certificate_is_refused(site: Site) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await site.ask(Authority.create("stranger", now=NOW))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_renewed_certificate_is_shown_without_a_restart(site: Site) -> None:
    assert await site.ask(site.authority, name="first") == b"ann g1,g2"
    site.renew("second")
    assert await site.ask(site.authority, name="second") == b"ann g1,g2"
    (site.folder / "server.crt").write_bytes(b"half a ren")
    assert await site.ask(site.authority, name="second") == b"ann g1,g2"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_replaced_authority_counts_no_more_also_for_who_was_here(site: Site, version: ssl.TLSVersion) -> None:
    context = client_context(site.authority.pem(), *site.authority.issue("ann", now=NOW))
    context.minimum_version = context.maximum_version = version
    kept: list[ssl.SSLSession | None] = [None]

    def greeted() -> bool:
        with (
            socket.create_connection(("localhost", site.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=kept[0]) as secure,
        ):
            greeting = secure.recv(9)
            kept[0] = secure.session
            return bool(greeting)

    assert await asyncio.to_thread(greeted)
    assert await asyncio.to_thread(greeted), "the session is taken up again"
    (site.folder / "ca.crt").write_bytes(Authority.create("successor", now=NOW).pem())
    stamp = (site.folder / "ca.crt").stat().st_mtime_ns
    os.utime(site.folder / "ca.crt", ns=(stamp + 1000, stamp + 1000))
    with pytest.raises(OSError, match=r"(?i)alert|reset|eof"):
        assert not await asyncio.to_thread(greeted)
        raise ConnectionResetError("reset without an alert")


async def test_garbage_on_a_tls_port_costs_nothing(site: Site) -> None:
    for garbage in (b"", b"\x00" * 100, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff"):
        with socket.create_connection(("localhost", site.port)) as stranger:
            stranger.sendall(garbage)
    assert await site.ask(site.authority) == b"ann g1,g2"


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for name in ("server.crt", "ca.crt"):
        good = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(b"no certificate")
        with pytest.raises(TLSFileError, match=name):
            _server().listen("localhost:0", site.files)
        (tmp_path / name).unlink()
        with pytest.raises(TLSFileError, match=name):
            _server().listen("localhost:0", site.files)
        (tmp_path / name).write_bytes(good)


@pytest.mark.parametrize("address", ["localhost:port", "nowhere.invalid:0", "192.0.2.1:0", "localhost:99999"])
def test_an_address_that_cannot_be_had_is_named(address: str) -> None:
    with pytest.raises(BindError, match=address):
        _server().listen(address, None)


async def test_a_taken_port_is_an_error() -> None:
    first = _server()
    port = first.listen("127.0.0.1:0", None)
    with pytest.raises(BindError):
        _server().listen(f"127.0.0.1:{port}", None)
    await first.stop(0)


async def test_a_unix_socket_left_behind_is_replaced_and_a_served_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    server = _server()
    server.listen(f"unix:{path}", None)
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        assert await channel.unary_unary(f"/{SERVICE}/Who")(b"", timeout=10) == b"nobody"
    with pytest.raises(BindError):
        _server().listen(f"unix:{path}", None)
    await server.stop(0)
    assert not path.exists()


async def test_answers_are_not_held_back_for_more(tmp_path: Path) -> None:
    # Without TCP_NODELAY an answer may wait 40 ms for the other side's acknowledgement of the one before.
    server = _server()
    port = server.listen("127.0.0.1:0", None)
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await channel.unary_unary(f"/{SERVICE}/Who")(b"", timeout=10)
        (connection,) = server.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await server.stop(0)
