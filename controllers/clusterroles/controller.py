"""Observes ClusterRoles; writes into each that is a sum of others the rules that it comes to.

Only for those who read it: the apiserver sums up by itself when it decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from steersman import errors
from steersman.informer import Key, key_of
from steersman.rbac.v1.cluster_role_pb2 import ClusterRole
from steersman.runtime import Runtime
from steersman.selectors import SelectorError, of_message

MANAGER = "clusterrole-aggregation-controller"


def summed(role: Any, others: Iterable[Any]) -> list[Any]:
    """The rules that a role comes to: those of every role that it chooses, each once, by the roles' names."""
    found: list[Any] = []
    selectors = []
    for each in role.aggregation_rule.cluster_role_selectors:
        try:
            selectors.append(of_message(each))
        except SelectorError:
            continue
    for other in sorted(others, key=lambda each: str(each.metadata.name)):
        if other.metadata.name == role.metadata.name:
            continue
        if any(selector.matches(other.metadata.labels) for selector in selectors):
            found += [rule for rule in other.rules if rule not in found]
    return found


class ClusterRoleController:
    """One key per role."""

    def __init__(self, runtime: Runtime) -> None:
        self._api = runtime.api
        self._roles = runtime.informer(ClusterRole)
        runtime.reconciler(ClusterRole, watches={ClusterRole: self._sums}, name="clusterroles", workers=1)(
            self.reconcile
        )

    def _sums(self, _old: Any, _new: Any) -> list[Key]:
        """The roles that are sums of others: any change of any may concern them."""
        return [key_of(role) for role in self._roles.list() if role.HasField("aggregation_rule")]

    async def reconcile(self, key: Key) -> None:
        """Writes what a role comes to, when that differs from what it shows."""
        role = self._roles.get(key)
        if role is None or not role.HasField("aggregation_rule"):
            return
        wanted = summed(role, self._roles.list())
        if list(role.rules) == wanted:
            return
        changed = ClusterRole()
        changed.CopyFrom(role)
        del changed.rules[:]
        changed.rules.extend(wanted)
        try:
            await self._api.clusterroles.update(changed, field_manager=MANAGER)
        except errors.NotFound:
            return
