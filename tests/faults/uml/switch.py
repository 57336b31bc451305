"""The network of machines: one namespace with a bridge, and a tap for each machine. Nothing leads out of it."""

from __future__ import annotations

import secrets
import sys
from types import TracebackType

from lab import machines, network
from lab.programs import run

BRIDGE = "fabric"
PREFIX = "172.31.1"


class Switch:
    """Whoever starts machines, or talks to them, runs in its namespace."""

    def __init__(self, ports: int) -> None:
        """A switch for so many machines."""
        self.namespace = f"uml{secrets.token_hex(3)}"
        self._ports = ports

    def __enter__(self) -> Switch:
        run("ip", "netns", "add", self.namespace)
        script = [
            "link set lo up",
            f"link add {BRIDGE} type bridge forward_delay 0",
            f"address add {PREFIX}.1/24 dev {BRIDGE}",
            f"link set {BRIDGE} up",
        ]
        for port in range(self._ports):
            script += [
                f"tuntap add dev {tap(port)} mode tap",
                f"link set {tap(port)} master {BRIDGE}",
                f"link set {tap(port)} up",
            ]
        try:
            run("ip", "-n", self.namespace, "-batch", "-", stdin="\n".join(script) + "\n")
        except BaseException:
            network.remove(self.namespace)
            raise
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        machines.end_all([self.namespace], grace_s=0)
        network.remove(self.namespace)

    def program(self, *arguments: str) -> list[str]:
        """The command that runs Python with these arguments at the switch."""
        return ["nsenter", f"--net={network.NAMESPACES / self.namespace}", sys.executable, *arguments]


def tap(port: int) -> str:
    """The device of a port."""
    return f"tap{port}"


def address(port: int) -> str:
    """The address of the machine at a port."""
    return f"{PREFIX}.{10 + port}"
