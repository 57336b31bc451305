"""Network namespaces and the cables between them."""

from __future__ import annotations

from pathlib import Path

from lab.layout import FABRIC_NETWORK, Lab, Machine
from lab.programs import ProgramFailed, run

BRIDGE = "fabric"
NAMESPACES = Path("/run/netns")


def build(lab: Lab) -> None:
    """Makes the namespaces of a lab, the fabric's bridge, and a cable to each node.

    Nothing is created in the machine's own namespace, not for a moment, and no namespace gets a route out.

    Raises:
        ProgramFailed: `ip` failed.
    """
    for machine in lab.machines:
        run("ip", "netns", "add", machine.namespace)
    control = lab.control
    prefix = FABRIC_NETWORK.prefixlen
    script = [
        "link set lo up",
        f"link add {BRIDGE} type bridge forward_delay 0",
        f"address add {control.address}/{prefix} dev {BRIDGE}",
        f"link set {BRIDGE} up",
    ]
    run("ip", "-n", control.namespace, "-batch", "-", stdin="\n".join(script) + "\n")
    for node in lab.nodes:
        _connect(control, node, prefix)


def _connect(control: Machine, node: Machine, prefix: int) -> None:
    run(
        "ip", "-n", control.namespace, "link", "add", node.name, "type", "veth", "peer", "eth0", "netns", node.namespace
    )
    run(
        "ip",
        "-n",
        control.namespace,
        "-batch",
        "-",
        stdin=f"link set {node.name} master {BRIDGE}\nlink set {node.name} up\n",
    )
    script = [
        "link set lo up",
        f"address add {node.address}/{prefix} dev eth0",
        "link set eth0 up",
        # Addresses of Services need some route before they are rewritten; the fabric forwards nothing.
        f"route add default via {control.address}",
    ]
    run("ip", "-n", node.namespace, "-batch", "-", stdin="\n".join(script) + "\n")


def namespaces(prefix: str) -> list[str]:
    """The network namespaces whose names begin with a prefix."""
    if not NAMESPACES.is_dir():
        return []
    return sorted(path.name for path in NAMESPACES.iterdir() if path.name.startswith(prefix))


def processes(namespace: str) -> list[int]:
    """The processes in a namespace."""
    try:
        return [int(pid) for pid in run("ip", "netns", "pids", namespace).split()]
    except ProgramFailed:
        return []


def remove(namespace: str) -> None:
    """Removes a namespace with everything in it; what is gone already is fine."""
    try:
        run("ip", "netns", "delete", namespace)
    except ProgramFailed:
        if (NAMESPACES / namespace).exists():
            raise
