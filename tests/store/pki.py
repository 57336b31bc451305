"""A certificate authority and identities for tests."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates for some addresses and keeps everything as PEM files in `folder`."""

    def __init__(self, folder: Path, addresses: Iterable[str] = ("127.0.0.1",)) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._addresses = [ipaddress.ip_address(address) for address in addresses]
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"ca of {folder.name}")])
        self.certificate = folder / "ca.crt"
        builder = self._builder(self._name, self._key.public_key(), days=10)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._write(self.certificate, builder.sign(self._key, hashes.SHA256()))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=30))
            .not_valid_after(now + datetime.timedelta(days=days))
        )

    def _write(self, path: Path, certificate: x509.Certificate) -> None:
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, days: int = 10) -> tuple[Path, Path]:
        """Certificate and key of `name`; negative `days` makes one that has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName(
            [*(x509.IPAddress(address) for address in self._addresses), x509.DNSName("localhost")]
        )
        certificate = self._builder(subject, key.public_key(), days).add_extension(names, critical=False)
        paths = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        self._write(paths[0], certificate.sign(self._key, hashes.SHA256()))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        paths[1].touch(mode=0o600)
        paths[1].write_bytes(pem)
        return paths
