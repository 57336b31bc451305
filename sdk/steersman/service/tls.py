"""TLS files, a client's credentials from them, and who the other side is. Every link is mutual TLS.

What a server shows and asks for is made of the same files in `http2/listener.py`.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc


class TLSFileError(Exception):
    """A certificate or key file cannot be used.

    Attributes:
        path: the file.
        reason: why, in words.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot use {path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class TLSFiles:
    """One identity: certificate and key, and the authority that the other side must be signed by (all PEM)."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True)
class Identity:
    """Who a certificate names: `CN` is the user, each `O` is a group, as in Kubernetes."""

    user: str
    groups: tuple[str, ...]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TLSFileError(path, error.strerror or str(error)) from error


def channel_credentials(
    authority: Path | bytes | None, certificate: Path | bytes | None = None, key: Path | bytes | None = None
) -> grpc.ChannelCredentials:
    """Credentials of a client, from files or from PEM bytes; without a certificate only the server is identified.

    Raises:
        TLSFileError: a file is missing or unreadable.
    """

    def pem(source: Path | bytes | None) -> bytes | None:
        return _read(source) if isinstance(source, Path) else source

    return grpc.ssl_channel_credentials(pem(authority), pem(key), pem(certificate))


def client_context(
    authority: Path | bytes | None, certificate: Path | bytes | None = None, key: Path | bytes | None = None
) -> ssl.SSLContext:
    """What a client trusts and shows, from files or from PEM bytes, for `http2.channel`.

    Raises:
        TLSFileError: a file is missing, unreadable, or not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    if authority is None:
        context.load_default_certs()
    else:
        pem = _read(authority) if isinstance(authority, Path) else authority
        try:
            context.load_verify_locations(cadata=pem.decode("ascii", "replace"))
        except ssl.SSLError as error:
            raise TLSFileError(_named(authority), f"not a certificate ({error.reason})") from error
    if certificate is not None and key is not None:
        try:
            with _as_file(certificate) as certificate_file, _as_file(key) as key_file:
                context.load_cert_chain(certificate_file, key_file)
        except ssl.SSLError as error:
            raise TLSFileError(_named(certificate), f"not a certificate with its key ({error.reason})") from error
    return context


def _named(source: Path | bytes) -> Path:
    return source if isinstance(source, Path) else Path("what was given")


@contextlib.contextmanager
def _as_file(source: Path | bytes) -> Iterator[Path]:
    """A file with the source's content; one that exists in memory alone for bytes, since OpenSSL reads files."""
    if isinstance(source, Path):
        _read(source)
        yield source
        return
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, source)
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def identity_of(auth_context: Mapping[str, Sequence[bytes]]) -> Identity | None:
    """Who is calling, from a server call's `auth_context()`; None when no client certificate was presented."""
    pems = auth_context.get("x509_pem_cert")
    if not pems:
        return None
    return identity_of_certificate(bytes(pems[0]))


def identity_of_certificate(pem: bytes) -> Identity:
    """Who a PEM certificate names."""
    # Needed by servers only, and not quickly imported.
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    subject = x509.load_pem_x509_certificate(pem).subject
    names = [str(attribute.value) for attribute in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = [str(attribute.value) for attribute in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return Identity(user=names[0] if names else "", groups=tuple(groups))
