"""Where the services of a control plane in this process live: their identities, their address, their clock."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from steersman import config
from steersman.clock import Clock
from steersman.config import Context
from steersman.pki import Authority, write_identity
from steersman.service.tls import TLSFiles

GROUP = "steersman.testing"
SERVER_NAME = "apiserver"
Service = Callable[["Place"], AbstractAsyncContextManager[None]]


class MissingServiceError(LookupError):
    """A service that a control plane needs is not installed.

    Attributes:
        service: its name.
    """

    def __init__(self, service: str) -> None:
        super().__init__(f"no installed package has the service {service!r} (entry point group {GROUP!r})")
        self.service = service


@dataclass(frozen=True)
class Place:
    """What the services of one control plane share.

    Attributes:
        folder: for sockets and certificates.
        clock: where time comes from.
        source: where randomness comes from.
        authority: whom everybody trusts.
    """

    folder: Path
    clock: Clock
    source: random.Random
    authority: Authority

    @classmethod
    def create(cls, folder: Path, clock: Clock, source: random.Random) -> Place:
        """A place in an empty folder, with an authority of its own."""
        # Certificates are looked at by OpenSSL, which knows the machine's time only.
        authority = Authority.create("testing", now=datetime.now(UTC))
        (folder / "ca.crt").write_bytes(authority.pem())
        return cls(folder, clock, source, authority)

    @property
    def address(self) -> str:
        """Where the apiserver listens."""
        return f"unix:{self.folder / 'apiserver.sock'}"

    def identity(self, name: str, user: str, *groups: str) -> TLSFiles:
        """Certificate files of a user, good for servers too."""
        certificate, key = write_identity(
            self.folder, name, self.authority, user, groups=groups, hosts=[SERVER_NAME], now=datetime.now(UTC)
        )
        return TLSFiles(certificate, key, self.folder / "ca.crt")

    def context(self, user: str, *groups: str) -> Context:
        """How a user connects to the apiserver."""
        certificate, key = self.authority.issue(user, groups=groups, now=datetime.now(UTC))
        return Context("testing", self.address, SERVER_NAME, self.authority.pem(), certificate, key)

    def configuration(self, name: str, user: str, *groups: str) -> Path:
        """A client configuration file for a user."""
        path = self.folder / f"{name}.config"
        config.save(path, self.context(user, *groups))
        return path


def service(name: str) -> Service:
    """How an installed service is run in this process: an asynchronous context manager over a `Place`.

    Raises:
        MissingServiceError: it is not installed.
    """
    for entry in metadata.entry_points(group=GROUP, name=name):
        found: Callable[[Place], AsyncIterator[None]] = entry.load()
        return found  # type: ignore[return-value]
    raise MissingServiceError(name)
