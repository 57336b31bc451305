"""Who may do what, as a table. A call is allowed when any row allows it; nothing is allowed without one."""

from __future__ import annotations

from dataclasses import dataclass

from apiserver import errors
from apiserver.authn import AUTHENTICATED, MASTERS, NODES, User

READ = frozenset({"get", "list", "watch"})
WRITE = frozenset({"create", "update", "patch", "apply", "delete", "deletecollection"})
ANY = frozenset({"*"})


@dataclass(frozen=True)
class Rule:
    """Allows some callers some verbs on some resources.

    Attributes:
        subjects: user and group names.
        verbs: rpc names in lower case; "*" is all.
        resources: qualified plurals, with a subresource as "pods/status"; "*" is all.
    """

    subjects: frozenset[str]
    verbs: frozenset[str]
    resources: frozenset[str]

    def allows(self, user: User, verb: str, resource: str) -> bool:
        """Whether this row allows a call."""
        return (
            (user.name in self.subjects or not self.subjects.isdisjoint(user.groups))
            and (verb in self.verbs or "*" in self.verbs)
            and (resource in self.resources or "*" in self.resources)
        )


def _rule(subjects: str, verbs: frozenset[str], resources: str) -> Rule:
    return Rule(frozenset(subjects.split()), verbs, frozenset(resources.split()))


_LEASES = "leases.coordination.k8s.io"
_SLICES = "endpointslices.discovery.k8s.io"

RULES: tuple[Rule, ...] = (
    _rule(MASTERS, ANY, "*"),
    _rule("system:kube-controller-manager", ANY, "*"),
    # The scheduler reads the cluster, binds pods and says why it could not.
    _rule("system:kube-scheduler", READ, "*"),
    _rule("system:kube-scheduler", frozenset({"bind", "delete"}), "pods"),
    _rule("system:kube-scheduler", frozenset({"update", "patch"}), "pods/status"),
    _rule("system:kube-scheduler", WRITE, f"events {_LEASES}"),
    # Nodes and proxies read what they carry out; writes of nodes are narrowed by authz/nodes.py.
    _rule(NODES, READ, f"pods nodes services configmaps secrets namespaces {_SLICES} {_LEASES}"),
    _rule("system:kube-proxy", READ, f"nodes services namespaces {_SLICES}"),
    _rule(NODES, frozenset({"create", "update", "patch", "apply"}), f"nodes {_LEASES}"),
    _rule(NODES, frozenset({"update", "patch"}), "nodes/status pods/status"),
    _rule(NODES, frozenset({"delete", "create"}), "pods"),
    _rule(f"{NODES} system:kube-proxy", WRITE - {"delete", "deletecollection"}, "events"),
    # Everybody who is known may look at what the cluster offers.
    _rule(AUTHENTICATED, frozenset({"get", "list"}), "namespaces"),
)


def authorize(user: User, verb: str, resource: str) -> None:
    """Allows a call, or raises.

    Raises:
        NotAllowed: no row allows it.
    """
    if not any(rule.allows(user, verb, resource) for rule in RULES):
        raise errors.NotAllowed(user.name, verb, resource, "no rule allows it")
