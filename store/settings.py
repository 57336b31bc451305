"""How a member is to run, as flags say it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


class SettingsError(Exception):
    """The flags contradict each other or cannot be read; the message is for whoever gave them."""


@dataclass(frozen=True)
class Endpoint:
    """Where something listens: `https://host:port` or `http://host:port`."""

    secure: bool
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Reads a url. Raises SettingsError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname or port is None or parts.path.strip("/"):
            raise SettingsError(f"{url!r} is not a url like https://127.0.0.1:2379")
        return cls(parts.scheme == "https", parts.hostname, port)

    @property
    def address(self) -> str:
        """`host:port`, for binding or connecting."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host == "localhost" or self.host == "::1" or self.host.startswith("127.")


@dataclass(frozen=True)
class Certificates:
    """PEM files of one side of a link; `require_client` asks the other side for a certificate too."""

    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None
    require_client: bool = False


@dataclass(frozen=True)
class Settings:
    """Everything a member needs to be told. Times in seconds, sizes in bytes."""

    name: str
    data_dir: Path
    client_urls: tuple[str, ...]
    advertise_client_urls: tuple[str, ...]
    peer_urls: tuple[str, ...]
    advertise_peer_urls: tuple[str, ...]
    initial_cluster: dict[str, tuple[str, ...]]
    initial_state: str = "new"
    cluster_token: str = "etcd-cluster"
    metrics_urls: tuple[str, ...] = ()
    client_tls: Certificates = field(default_factory=Certificates)
    peer_tls: Certificates = field(default_factory=Certificates)
    insecure: bool = False
    serve_peers: bool = False
    heartbeat_s: float = 0.1
    election_s: float = 0.6
    quota_bytes: int = 2 * 1024**3
    request_bytes_max: int = 1536 * 1024
    txn_operations_max: int = 128
    progress_interval_s: float = 600.0
    catchup_entries: int = 5_000
    auto_compaction_mode: str = "periodic"
    auto_compaction_retention: float = 0.0

    def check(self) -> None:
        """Raises SettingsError where the settings cannot work together."""
        if self.election_s < 3 * self.heartbeat_s:
            raise SettingsError("--election-timeout must be at least three times --heartbeat-interval")
        self._check_access("client", self.client_urls, self.client_tls, plain_on_loopback=True)
        if self.serve_peers:
            self._check_access("peer", self.peer_urls, self.peer_tls, plain_on_loopback=self.insecure)

    def check_initial(self) -> None:
        """For a member that is new: raises SettingsError where its cluster cannot begin as the settings have it."""
        if len(self.initial_cluster) % 2 == 0 and self.initial_state == "new":
            raise SettingsError(
                f"--initial-cluster names {len(self.initial_cluster)} members: an even number tolerates no more "
                "failures than one member less, and stops when half of it is cut off; use an odd number"
            )
        if self.name not in self.initial_cluster:
            raise SettingsError(f"--initial-cluster does not name {self.name!r}, which is --name of this member")
        if self.initial_state == "new" and set(self.initial_cluster[self.name]) != set(self.advertise_peer_urls):
            raise SettingsError(
                f"--initial-cluster and --initial-advertise-peer-urls differ for {self.name!r}: "
                f"{','.join(self.initial_cluster[self.name])} and {','.join(self.advertise_peer_urls)}"
            )

    def _check_access(self, kind: str, urls: tuple[str, ...], tls: Certificates, *, plain_on_loopback: bool) -> None:
        for url in urls:
            endpoint = Endpoint.parse(url)
            if endpoint.secure and (tls.certificate is None or tls.key is None):
                prefix = "--peer-" if kind == "peer" else "--"
                raise SettingsError(f"{url} needs {prefix}cert-file and {prefix}key-file")
            if endpoint.secure and tls.require_client and tls.authority is None:
                prefix = "--peer-" if kind == "peer" else "--"
                raise SettingsError(f"asking for certificates at {url} needs {prefix}trusted-ca-file")
            if not endpoint.secure and not (endpoint.is_loopback and plain_on_loopback):
                raise SettingsError(f"{url} is not encrypted; that is allowed with --insecure, on loopback only")


def parse_initial_cluster(text: str) -> dict[str, tuple[str, ...]]:
    """Reads `a=https://10.0.0.1:2380,b=https://10.0.0.2:2380`; a name may occur once for each of its urls.

    Raises:
        SettingsError: it cannot be read.
    """
    members: dict[str, list[str]] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, separator, url = part.partition("=")
        if not separator or not name:
            raise SettingsError(f"--initial-cluster: {part!r} is not NAME=URL")
        Endpoint.parse(url)
        members.setdefault(name, []).append(url)
    return {name: tuple(sorted(urls)) for name, urls in members.items()}


_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_retention(mode: str, text: str) -> float:
    """Reads how much history to keep: seconds for `periodic` ("1" is an hour, "30m", "1h30m"), else revisions.

    Raises:
        SettingsError: it cannot be read.
    """
    if text.isdigit():
        return float(text) * (_UNITS_S["h"] if mode == "periodic" else 1)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if mode != "periodic" or not parts or "".join(number + unit for number, unit in parts) != text:
        raise SettingsError(f"--auto-compaction-retention: {text!r} is not a {mode} retention")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
