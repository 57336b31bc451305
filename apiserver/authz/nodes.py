"""What a node may write: itself, its own lease, the status of its own pods, and their removal. As NodeRestriction."""

from __future__ import annotations

from typing import Any, NoReturn

from apiserver import errors
from apiserver.authn import User
from apiserver.authz.graph import facts_of

MIRROR = "kubernetes.io/config.mirror"
RESTRICTED = "node-restriction.kubernetes.io"
# Labels of Kubernetes' own domains that a node says of itself; it may set no others of these domains.
OWN_LABELS = frozenset(
    {
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)
OWN_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_DOMAINS = ("kubernetes.io", "k8s.io")


def check_write(user: User, verb: str, resource: str, obj: Any, old: Any | None) -> None:
    """Refuses a node's write of what is not its own; other callers pass.

    Args:
        user: the caller.
        verb: the rpc in lower case.
        resource: qualified plural of the kind.
        obj: what is written or deleted.
        old: what it was before; None for a create.

    Raises:
        NotAllowed: it is not the node's own.
    """
    node = user.node
    if node is None:
        return
    name = obj.metadata.name

    def refuse(why: str) -> NoReturn:
        raise errors.NotAllowed(user.name, verb, f"{resource} {name!r}", why)

    if resource == "nodes":
        if name != node:
            refuse("a node may change only itself")
        why = _wrong_with_node(obj, old)
        if why:
            refuse(why)
    elif resource == "leases.coordination.k8s.io" and (obj.metadata.namespace, name) != ("kube-node-lease", node):
        refuse("a node may write only its own lease")
    elif resource == "csinodes.storage.k8s.io" and name != node:
        refuse("a node may write only its own CSINode")
    elif resource == "pods":
        if (old if old is not None else obj).spec.node_name != node:
            refuse("the pod is not bound to this node")
        if old is None:
            why = _wrong_with_mirror(obj)
            if why:
                refuse(why)
        elif obj.metadata.labels != old.metadata.labels:
            refuse("a node may not change the labels of pods")
    elif resource == "persistentvolumeclaims" and old is not None and obj.spec != old.spec:
        refuse("a node may write only the status of a claim")


def _wrong_with_node(obj: Any, old: Any | None) -> str:
    before = old.metadata.labels if old is not None else {}
    changed = {key for key in {*before, *obj.metadata.labels} if before.get(key) != obj.metadata.labels.get(key)}
    for key in sorted(changed):
        prefix = key.partition("/")[0] if "/" in key else ""
        if _within(prefix, (RESTRICTED,)):
            return f"labels of {RESTRICTED} are not the node's to change"
        if _within(prefix, _DOMAINS) and key not in OWN_LABELS and not _within(prefix, OWN_PREFIXES):
            return f"label {key} is not the node's to change"
    if old is None:
        return ""
    if obj.spec.taints != old.spec.taints or obj.spec.unschedulable != old.spec.unschedulable:
        return "a node may not change its own taints, nor whether pods are scheduled to it"
    if list(obj.metadata.owner_references) != list(old.metadata.owner_references):
        return "a node may not change its own owners"
    return ""


def _within(prefix: str, domains: tuple[str, ...]) -> bool:
    return any(prefix == domain or prefix.endswith(f".{domain}") for domain in domains)


def _wrong_with_mirror(pod: Any) -> str:
    """A node makes pods only as pictures of what it runs by itself; those refer to nothing in the cluster."""
    if MIRROR not in pod.metadata.annotations:
        return "a node may create only mirrors of its static pods"
    if pod.spec.service_account_name:
        return "a mirror of a static pod has no service account"
    needs = facts_of(pod).needs
    if needs:
        kind, name = sorted(needs)[0]
        return f"a mirror of a static pod may not refer to {kind} {name!r}"
    return ""


def check_token(user: User, account: str, request: Any, pod: Any | None) -> None:
    """Refuses a node's request for a token unless it is for a pod of the node, and bound to it; other callers pass.

    Args:
        user: the caller.
        account: name of the service account.
        request: the TokenRequest's spec.
        pod: facts of the pod that the token is to be bound to, None when it is unknown.

    Raises:
        NotAllowed: it is not for a pod of the node.
    """
    node = user.node
    if node is None:
        return
    bound = request.bound_object_ref

    def refuse(why: str) -> NoReturn:
        raise errors.NotAllowed(user.name, "create", f"serviceaccounts/token {account!r}", why)

    if bound.kind != "Pod" or not bound.name or not bound.uid:
        refuse("a node's tokens must be bound to a pod, by name and uid")
    if pod is None or pod.node != node:
        refuse("the pod is not bound to this node")
    if pod.uid != bound.uid:
        refuse(f"the pod's uid is {pod.uid}, not {bound.uid}")
    if pod.account != account:
        refuse(f"the pod runs as {pod.account!r}")
