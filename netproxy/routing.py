"""The node's routes, forwarding switches and tracked flows, through `ip`, /proc/sys and `conntrack`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import structlog

from netproxy import commands
from netproxy.commands import CommandError
from netproxy.conntrack import Flows
from netproxy.routes import PROTOCOL, Route, batch

log = structlog.get_logger(__name__)

SYSCTL_ROOT = Path("/proc/sys")


async def present_routes() -> frozenset[Route]:
    """The routes that carry our protocol number.

    Raises:
        CommandError: they cannot be read.
    """
    output = await commands.run(["ip", "-j", "-4", "route", "show", "proto", str(PROTOCOL)])
    return frozenset(
        Route(entry["dst"] if "/" in entry["dst"] else f"{entry['dst']}/32", entry.get("gateway", ""))
        for entry in json.loads(output or "[]")
    )


async def apply_routes(desired: frozenset[Route]) -> frozenset[Route]:
    """Makes our routes the desired ones and returns those that the kernel would not take (no way to the next hop).

    Raises:
        CommandError: routes cannot be read or changed at all.
    """
    present = await present_routes()
    lines = batch(desired, present)
    if not lines:
        return frozenset()
    try:
        await commands.run(["ip", "-force", "-batch", "-"], text="\n".join(lines) + "\n")
    except CommandError as error:
        if error.code == 127:
            raise
        log.warning("routes refused", error=error.stderr.strip())
    return desired - await present_routes()


async def forget(flows: Iterable[Flows]) -> int:
    """Deletes tracked flows and returns how many selections were run; without the `conntrack` program does nothing."""
    if shutil.which("conntrack") is None:
        return 0
    done = 0
    for selection in flows:
        try:
            await commands.run(["conntrack", "-D", *selection.arguments()])
        except CommandError as error:
            # Exit code 1 with "0 flow entries" is the ordinary case of nothing to delete.
            if "0 flow entries" not in error.stderr:
                log.warning("flows not deleted", flows=selection, error=error.stderr.strip())
        done += 1
    return done


async def udp_flows() -> str:
    """The tracked UDP flows as `conntrack` lists them; empty without that program."""
    if shutil.which("conntrack") is None:
        return ""
    try:
        return await commands.run(["conntrack", "-L", "-p", "udp"])
    except CommandError as error:
        log.warning("flows not listed", error=error.stderr.strip())
        return ""


def sysctl(name: str, value: str, *, root: Path = SYSCTL_ROOT) -> bool:
    """Sets a kernel switch ("net.ipv4.ip_forward"); False when the kernel does not have it or does not let us."""
    path = root / name.replace(".", "/")
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as error:
        log.warning("kernel switch not set", name=name, value=value, error=error.strerror)
        return False
    return True


def enable_forwarding(*, localhost_node_ports: bool, root: Path = SYSCTL_ROOT) -> None:
    """Lets this node pass on packets between pods, bridges and other nodes."""
    sysctl("net.ipv4.ip_forward", "1", root=root)
    if localhost_node_ports:
        sysctl("net.ipv4.conf.all.route_localnet", "1", root=root)
    # Answers between two pods on one bridge must pass conntrack as well, or they keep the endpoint's address.
    if (root / "net/bridge/bridge-nf-call-iptables").exists():
        sysctl("net.bridge.bridge-nf-call-iptables", "1", root=root)
    else:
        log.warning("bridged packets do not pass iptables", reason="the kernel has no br_netfilter")
