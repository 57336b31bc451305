"""Names, paths and addresses of a lab. Pure: nothing here touches the machine."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

ROOT_VARIABLE = "STEERSMAN_LAB_ROOT"
ROOT = Path("/var/lib/steersman/lab")
NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,20}[a-z0-9])?")
NODES_MAX = 32

FABRIC_NETWORK = IPv4Network("172.31.0.0/24")
CLUSTER_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
APISERVER_PORT, STORE_PORT, STORE_PEER_PORT = 6443, 2379, 2380
# Unix socket paths end where the kernel's address structure does.
SOCKET_PATH_MAX = 107


class LayoutError(ValueError):
    """A lab cannot be laid out like this; the message says why."""


@dataclass(frozen=True)
class Machine:
    """One machine of a lab.

    Attributes:
        name: host name; "control" or the node's name.
        namespace: its network namespace.
        address: its address on the fabric.
        home: folder with everything of it.
    """

    name: str
    namespace: str
    address: IPv4Address
    home: Path

    @property
    def supervisor_socket(self) -> Path:
        """Where its supervisor answers."""
        return self.home / "supervisor.sock"

    @property
    def containerd_socket(self) -> Path:
        """Where its containerd answers."""
        return self.home / "containerd.sock"

    @property
    def logs(self) -> Path:
        """Folder of its services' logs."""
        return self.home / "logs"


@dataclass(frozen=True)
class Lab:
    """A lab of a name and a number of nodes."""

    name: str
    count: int = 3
    base: Path = field(default_factory=lambda: Path(os.environ.get(ROOT_VARIABLE) or ROOT))

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            rule = "lower-case letters, digits and '-', at most 22, beginning and ending with a letter or digit"
            raise LayoutError(f"{self.name!r} is not a name for a lab ({rule})")
        if not 1 <= self.count <= NODES_MAX:
            raise LayoutError(f"{self.count} nodes: a lab has 1 to {NODES_MAX}")
        longest = self.home / "machines" / "control" / "containerd.sock.ttrpc"
        if len(str(longest)) > SOCKET_PATH_MAX:
            raise LayoutError(f"{self.home} is too long a path for sockets below it")

    @property
    def home(self) -> Path:
        """Folder with everything of the lab."""
        return self.base / self.name

    @property
    def pki(self) -> Path:
        """Folder of certificates and keys."""
        return self.home / "pki"

    @property
    def record(self) -> Path:
        """File that says what the lab consists of."""
        return self.home / "lab.json"

    @property
    def scheduler_socket(self) -> Path:
        """Where the scheduler answers on this machine."""
        return self.home / "scheduler.sock"

    @property
    def apiserver_socket(self) -> Path:
        """Where the apiserver answers on this machine."""
        return self.home / "apiserver.sock"

    @property
    def cgroup(self) -> str:
        """Cgroup below which all containers of the lab run."""
        return f"/steersman/{self.name}"

    @property
    def namespace_prefix(self) -> str:
        """What the names of the lab's network namespaces begin with."""
        return f"steer-{self.name}."

    @property
    def control(self) -> Machine:
        """The machine of the control plane; its namespace is the fabric."""
        return Machine(
            "control", f"{self.namespace_prefix}control", FABRIC_NETWORK[1], self.home / "machines" / "control"
        )

    @property
    def nodes(self) -> list[Machine]:
        """The nodes' machines: n1, n2, ..."""
        return [
            Machine(
                f"n{number}",
                f"{self.namespace_prefix}n{number}",
                FABRIC_NETWORK[10 + number],
                self.home / "machines" / f"n{number}",
            )
            for number in range(1, self.count + 1)
        ]

    @property
    def machines(self) -> list[Machine]:
        """All machines."""
        return [self.control, *self.nodes]
