"""Where the agents of nodes listen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from steersman.service.http2.channel import Channel

# Opens a channel to a node: its name, and where its agent listens.
NodeChannel = Callable[[str, str], Channel | grpc.aio.Channel]


def address_of(node: Any) -> str:
    """Where a node's agent listens, as the node has said it; empty when it has not. Pure."""
    address = next((each.address for each in node.status.addresses if each.type == "InternalIP"), "")
    port = node.status.daemon_endpoints.kubelet_endpoint.port
    if not address or not port:
        return ""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
