"""Nobody grants what they may not do themselves: checks writes of roles and of what binds them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from apiserver import errors
from apiserver.admission.port import CREATE, UPDATE, Admission
from apiserver.authz import rules
from apiserver.authz.attributes import Attributes
from apiserver.authz.authorizer import Authorizer
from apiserver.authz.rules import Rule

GROUP = "rbac.authorization.k8s.io"
_ROLES = {"Role": "roles", "ClusterRole": "clusterroles"}
SHOWN_MAX = 5


class Escalation:
    """Rules may be granted by those who have them all, or who have the verb "escalate" (roles) or "bind" (bindings)."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def admit(self, write: Admission) -> None:
        """See `Plugin.admit`."""
        kind = write.kind
        if kind.group != GROUP or write.operation not in (CREATE, UPDATE):
            return
        if kind.kind in _ROLES:
            self._check_role(write)
        else:
            self._check_binding(write)

    def _check_role(self, write: Admission) -> None:
        obj, old, namespace = write.obj, write.old, write.obj.metadata.namespace
        aggregated = kind_aggregates(obj)
        if old is not None and obj.rules == old.rules and aggregated == kind_aggregates(old):
            return
        wanted = Attributes("escalate", _ROLES[write.kind.kind], GROUP, namespace=namespace, name=obj.metadata.name)
        if self._authorizer.decide(write.user, wanted) is not None:
            return
        given = [rules.of_message(rule) for rule in obj.rules]
        # Whoever can add roles to the sum later could add anything.
        self._compare(write, [*given, *(rules.EVERYTHING if aggregated else ())], namespace)

    def _check_binding(self, write: Admission) -> None:
        obj, old, namespace = write.obj, write.old, write.obj.metadata.namespace
        if old is not None and obj.subjects == old.subjects and obj.role_ref == old.role_ref:
            return
        role = obj.role_ref
        wanted = Attributes("bind", _ROLES.get(role.kind, ""), GROUP, namespace=namespace, name=role.name)
        if self._authorizer.decide(write.user, wanted) is not None:
            return
        given = self._authorizer.book.rules_of_role((namespace if role.kind == "Role" else "", role.name))
        if given is None:
            self._refuse(write, f"{role.kind} {role.name!r} does not exist, so nobody can tell what it would grant")
        self._compare(write, given, namespace)

    def _compare(self, write: Admission, given: Iterable[Rule], namespace: str) -> None:
        missing = rules.uncovered(given, self._authorizer.rules_for(write.user, namespace))
        if missing:
            shown = "; ".join(str(rule) for rule in missing[:SHOWN_MAX])
            more = f" and {len(missing) - SHOWN_MAX} more" if len(missing) > SHOWN_MAX else ""
            self._refuse(write, f"it grants what the writer may not do: {shown}{more}")

    @staticmethod
    def _refuse(write: Admission, why: str) -> NoReturn:
        resource = f"{write.kind.qualified_plural} {write.obj.metadata.name!r}"
        raise errors.NotAllowed(write.user.name, write.operation, resource, why)


def kind_aggregates(role: object) -> list[object]:
    """The selectors by which a role is the sum of others."""
    rule = getattr(role, "aggregation_rule", None)
    return list(rule.cluster_role_selectors) if rule is not None else []
