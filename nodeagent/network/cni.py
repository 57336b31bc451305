"""The network configuration that containerd gives to the CNI plugins: one bridge, addresses from the node's pod CIDR.

Pods of other nodes are reached by routes, and masquerading is the netproxy's; neither is written here.
"""

from __future__ import annotations

import ipaddress
import json
import os
from pathlib import Path

CNI_VERSION = "0.4.0"
FILE_NAME = "10-steersman.conflist"
NETWORK_NAME = "steersman"


class CidrError(ValueError):
    """A node's pod CIDR is not one.

    Attributes:
        cidr: what was given.
    """

    def __init__(self, cidr: str) -> None:
        super().__init__(f"pod CIDR {cidr!r} is not a network")
        self.cidr = cidr


def conflist(cidrs: list[str], *, bridge: str, state: Path, mtu: int = 0) -> str:
    """The configuration as JSON.

    Args:
        cidrs: networks that pods of this node get their addresses from; one per address family.
        bridge: name of the bridge.
        state: where the address manager notes which addresses are taken; each node needs its own.
        mtu: of the pods' interfaces; 0 leaves it to the kernel.

    Raises:
        CidrError: one of the CIDRs is not a network.
    """
    ranges: list[list[dict[str, str]]] = []
    routes: list[dict[str, str]] = []
    for cidr in cidrs:
        try:
            network = ipaddress.ip_network(cidr)
        except ValueError as error:
            raise CidrError(cidr) from error
        ranges.append([{"subnet": str(network)}])
        routes.append({"dst": "0.0.0.0/0" if network.version == 4 else "::/0"})
    bridge_plugin: dict[str, object] = {
        "type": "bridge",
        "bridge": bridge,
        "isGateway": True,
        # A bridge that is left from a node with other addresses is given the new one.
        "forceAddress": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": ranges, "routes": routes, "dataDir": str(state)},
    }
    if mtu:
        bridge_plugin["mtu"] = mtu
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    document = {"cniVersion": CNI_VERSION, "name": NETWORK_NAME, "plugins": [bridge_plugin, portmap]}
    return json.dumps(document, indent=2) + "\n"


def missing_plugins(bin_dir: Path) -> list[str]:
    """Programs that the configuration needs and that are not in the folder."""
    return [name for name in ("bridge", "host-local", "portmap", "loopback") if not os.access(bin_dir / name, os.X_OK)]


def write(folder: Path, text: str) -> bool:
    """Puts the configuration in place at once; returns whether it differed from what was there.

    Raises:
        OSError: the folder cannot be written to.
    """
    path = folder / FILE_NAME
    if path.exists() and path.read_text() == text:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    # containerd reads every file with a known suffix, so the fresh one must not have one.
    fresh = folder / f".{FILE_NAME}.new"
    fresh.write_text(text)
    fresh.rename(path)
    return True
