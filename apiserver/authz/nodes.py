"""What a node may write: itself, its own lease, the status of its own pods, and their removal. As NodeRestriction."""

from __future__ import annotations

from typing import Any

from apiserver import errors
from apiserver.authn import User


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

    def refuse(why: str) -> None:
        raise errors.NotAllowed(user.name, verb, f"{resource} {name!r}", why)

    if resource == "nodes":
        if name != node:
            refuse("a node may change only itself")
        if old is not None and (obj.spec.taints != old.spec.taints or obj.spec.unschedulable != old.spec.unschedulable):
            refuse("a node may not change its own taints, nor whether pods are scheduled to it")
        before = old.metadata.labels if old is not None else {}
        changed = {key for key in {*before, *obj.metadata.labels} if before.get(key) != obj.metadata.labels.get(key)}
        if any("node-restriction.kubernetes.io/" in key for key in changed):
            refuse("labels of node-restriction.kubernetes.io are not the node's to change")
    elif resource == "leases.coordination.k8s.io" and (obj.metadata.namespace, name) != ("kube-node-lease", node):
        refuse("a node may write only its own lease")
    elif resource == "pods":
        bound = (old if old is not None else obj).spec.node_name
        if bound != node:
            refuse("the pod is not bound to this node")
