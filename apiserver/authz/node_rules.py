"""What a node may ask for: a few things always, others when a pod of it needs them. As Kubernetes' Node authorizer."""

from __future__ import annotations

from apiserver.authz.attributes import Attributes
from apiserver.authz.graph import ACCOUNT, CLAIM, CONFIG_MAP, SECRET, NodeGraph

LEASE_NAMESPACE = "kube-node-lease"
_READ = frozenset({"get", "list", "watch"})
_NEEDED = {
    ("", CONFIG_MAP): _READ,
    ("", SECRET): _READ,
    ("", CLAIM): frozenset({"get"}),
    ("", ACCOUNT): frozenset({"get"}),
    ("", "persistentvolumes"): frozenset({"get"}),
    ("storage.k8s.io", "volumeattachments"): _READ,
}

# Group and resource, and the verbs that every node has on it. What of it is its own to write: admission/.
ALWAYS: dict[tuple[str, str], frozenset[str]] = {
    ("", "services"): _READ,
    ("", "nodes"): frozenset({"create"}),
    ("", "pods"): frozenset({"create"}),
    ("", "events"): frozenset({"create", "patch", "update"}),
    ("events.k8s.io", "events"): frozenset({"create", "patch", "update"}),
    ("node.k8s.io", "runtimeclasses"): _READ,
    ("storage.k8s.io", "csidrivers"): _READ,
    ("authentication.k8s.io", "tokenreviews"): frozenset({"create"}),
    ("authorization.k8s.io", "subjectaccessreviews"): frozenset({"create"}),
    ("authorization.k8s.io", "localsubjectaccessreviews"): frozenset({"create"}),
    ("certificates.k8s.io", "certificatesigningrequests"): frozenset({"create"}) | _READ,
    ("discovery.k8s.io", "endpointslices"): _READ,
}
# What admission narrows down to the node's own pods.
_OWN_PODS = {
    "pods": frozenset({"delete"}),
    "pods/status": frozenset({"update", "patch"}),
    "pods/eviction": frozenset({"create"}),
}
_OWN_NODE = {
    "nodes": frozenset({"get", "list", "watch", "update", "patch"}),
    "nodes/status": frozenset({"update", "patch"}),
}


def allows(node: str, wanted: Attributes, graph: NodeGraph) -> bool:
    """Whether a node may make a call."""
    place, verb = (wanted.group, wanted.resource), wanted.verb
    if place == ("", ACCOUNT) and wanted.subresource == "token":
        return verb == "create" and graph.needs(node, ACCOUNT, wanted.namespace, wanted.name)
    if place == ("", CLAIM) and wanted.subresource == "status":
        return verb in ("update", "patch", "get") and graph.needs(node, CLAIM, wanted.namespace, wanted.name)
    if wanted.group == "" and verb in _OWN_NODE.get(wanted.full_resource, ()):
        return wanted.name == node
    if place == ("", "pods"):
        if not wanted.subresource and verb in ("list", "watch"):
            return wanted.node == node
        if verb in _OWN_PODS.get(wanted.full_resource, ()):
            return True
        if not wanted.subresource and verb == "get":
            return graph.runs(node, wanted.namespace, wanted.name)
    if wanted.subresource:
        return False
    if place in _NEEDED:
        # A list or a watch of one named object is as good as a get.
        return (
            verb in _NEEDED[place] and bool(wanted.name) and graph.needs(node, place[1], wanted.namespace, wanted.name)
        )
    if place == ("coordination.k8s.io", "leases"):
        own = wanted.namespace == LEASE_NAMESPACE and wanted.name in (node, "")
        return (
            own and verb in ("get", "create", "update", "patch", "delete") and (verb == "create" or bool(wanted.name))
        )
    if place == ("storage.k8s.io", "csinodes"):
        return verb in ("get", "create", "update", "patch", "delete") and wanted.name in (node, "")
    return verb in ALWAYS.get(place, ())
