"""The network between members: a namespace for each, and messages that get lost, each way by itself."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterable
from types import TracebackType

from lab import machines, network
from lab.layout import Lab
from lab.programs import run
from tests.store.cluster import Place

MEMBERS = "abc"


class Wires:
    """Namespaces joined by a bridge, with no route out of them. Clients run in the bridge's own namespace."""

    def __init__(self, name: str) -> None:
        """The wires of this name, which may have been built by another process."""
        self.name = name
        self._lab = Lab(name, len(MEMBERS))
        self._nodes = dict(zip(MEMBERS, self._lab.nodes, strict=True))

    @classmethod
    def new(cls) -> Wires:
        return cls(f"faults{secrets.token_hex(3)}")

    def __enter__(self) -> Wires:
        try:
            network.build(self._lab)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.end_processes()
        self._remove()

    def end_processes(self) -> None:
        """Kills whatever still runs here, and lets everything pass again."""
        machines.end_all([machine.namespace for machine in self._lab.machines], grace_s=0)
        self.lose(())

    def _remove(self) -> None:
        for machine in self._lab.machines:
            network.remove(machine.namespace)

    @property
    def bridge(self) -> str:
        """The namespace of the bridge."""
        return self._lab.control.namespace

    @property
    def places(self) -> dict[str, Place]:
        return {name: Place(str(node.address), _inside(node.namespace)) for name, node in self._nodes.items()}

    def program(self, *arguments: str) -> list[str]:
        """The command that runs Python with these arguments beside the bridge."""
        return [*_inside(self.bridge), sys.executable, *arguments]

    def lose(self, ways: Iterable[tuple[str, str]], share: float = 0.0) -> None:
        """From now on, what goes from the first to the second of each pair is lost, and a share of all the rest."""
        ways = set(ways)
        for receiver, node in self._nodes.items():
            rules = [
                f"-A INPUT -s {self._nodes[sender].address} -j DROP" for sender in MEMBERS if (sender, receiver) in ways
            ]
            if share:
                others = ",".join(str(other.address) for other in self._nodes.values())
                rules.append(f"-A INPUT -s {others} -m statistic --mode random --probability {share} -j DROP")
            table = "\n".join(["*filter", ":INPUT ACCEPT [0:0]", *rules, "COMMIT", ""])
            run(*_inside(node.namespace), "iptables-restore", stdin=table)


def _inside(namespace: str) -> list[str]:
    return ["nsenter", f"--net={network.NAMESPACES / namespace}"]
