"""Names: of a Service's ports, and of the chains made from them, as kube-proxy has them."""

from __future__ import annotations

import base64
import hashlib
from typing import NamedTuple

SERVICES = "KUBE-SERVICES"
EXTERNAL_SERVICES = "KUBE-EXTERNAL-SERVICES"
NODE_PORTS = "KUBE-NODEPORTS"
POSTROUTING = "KUBE-POSTROUTING"
MARK_MASQ = "KUBE-MARK-MASQ"
FORWARD = "KUBE-FORWARD"
PROXY_FIREWALL = "KUBE-PROXY-FIREWALL"
LOCALHOST_FIREWALL = "KUBE-FIREWALL"
CANARY = "KUBE-PROXY-CANARY"
POD_NETWORK = "KUBE-POD-NETWORK"

CLUSTER_POLICY_PREFIX = "KUBE-SVC-"
LOCAL_POLICY_PREFIX = "KUBE-SVL-"
LOAD_BALANCER_PREFIX = "KUBE-FW-"
EXTERNAL_PREFIX = "KUBE-EXT-"
ENDPOINT_PREFIX = "KUBE-SEP-"

FIXED = (
    SERVICES,
    EXTERNAL_SERVICES,
    NODE_PORTS,
    POSTROUTING,
    MARK_MASQ,
    FORWARD,
    PROXY_FIREWALL,
    LOCALHOST_FIREWALL,
    CANARY,
    POD_NETWORK,
)
PREFIXES = (CLUSTER_POLICY_PREFIX, LOCAL_POLICY_PREFIX, LOAD_BALANCER_PREFIX, EXTERNAL_PREFIX, ENDPOINT_PREFIX)


class ServicePortName(NamedTuple):
    """One port of one Service; `port` is empty where the Service has a single unnamed port."""

    namespace: str
    name: str
    port: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}:{self.port}" if self.port else f"{self.namespace}/{self.name}"


def digest(*parts: str) -> str:
    """Sixteen characters that stand for the parts in a chain's name (chains have at most 28)."""
    return base64.b32encode(hashlib.sha256("".join(parts).encode()).digest()[:10]).decode()


def is_own(chain: str) -> bool:
    """Whether a chain of this name is one that netproxy makes, and may therefore change and delete."""
    return chain in FIXED or chain.startswith(PREFIXES)
