"""Roles and ClusterRoles, and what binds them. Who may write them: admission/escalation.py."""

from __future__ import annotations

from typing import Any, ClassVar

from steersman.defaulting import rbac as defaulting
from steersman.errors import FieldViolation
from steersman.rbac.v1.cluster_role_binding_pb2 import ClusterRoleBinding
from steersman.rbac.v1.cluster_role_pb2 import ClusterRole
from steersman.rbac.v1.role_binding_pb2 import RoleBinding
from steersman.rbac.v1.role_pb2 import Role
from steersman.validation import rbac as validation
from steersman.validation.names import violation

from apiserver.strategy import Strategy


class RoleStrategy(Strategy):
    """Rules about objects."""

    message = Role

    def facts(self, obj: Any) -> Any:
        """The object: authorization reads it."""
        return obj

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.rules("rules", obj.rules, paths=False)

    def validate_name(self, name: str) -> list[FieldViolation]:
        """See `Strategy.validate_name`."""
        return validation.name("metadata.name", name)


class ClusterRoleStrategy(Strategy):
    """Rules about objects and paths, and sums of other roles."""

    message = ClusterRole

    def facts(self, obj: Any) -> Any:
        """The object: authorization reads it."""
        return obj

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        found = validation.rules("rules", obj.rules, paths=True)
        if obj.HasField("aggregation_rule"):
            found += validation.aggregation("aggregationRule", obj.aggregation_rule)
        return found

    def validate_name(self, name: str) -> list[FieldViolation]:
        """See `Strategy.validate_name`."""
        return validation.name("metadata.name", name)


class RoleBindingStrategy(Strategy):
    """A binding's role stays."""

    message: ClassVar[type[Any]] = RoleBinding

    def facts(self, obj: Any) -> Any:
        """The object: authorization reads it."""
        return obj

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.binding(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.binding(obj, namespaced=isinstance(obj, RoleBinding))

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        if new.role_ref != old.role_ref:
            return violation("roleRef", "may not change: delete the binding and make another")
        return []

    def validate_name(self, name: str) -> list[FieldViolation]:
        """See `Strategy.validate_name`."""
        return validation.name("metadata.name", name)


class ClusterRoleBindingStrategy(RoleBindingStrategy):
    """As RoleBindings."""

    message = ClusterRoleBinding
