"""Nodes."""

from __future__ import annotations

from typing import Any, ClassVar

from steersman.core.v1.node_pb2 import Node
from steersman.errors import FieldViolation
from steersman.validation import node as validation
from steersman.validation.names import violation

from apiserver.strategy import Strategy


class NodeStrategy(Strategy):
    """Rules; a pod range that was given stays. The status may come with the object, as kubelets register."""

    message = Node
    registers_with_status = True
    fields: ClassVar = {"spec.unschedulable": lambda node: str(bool(node.spec.unschedulable)).lower()}

    def prepare_create(self, obj: Any) -> None:
        """A node registers with its status."""

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        if obj.spec.pod_cidr and not obj.spec.pod_cidrs:
            obj.spec.pod_cidrs.append(obj.spec.pod_cidr)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.node(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        if old.spec.pod_cidr and new.spec.pod_cidr != old.spec.pod_cidr:
            return violation("spec.podCIDR", f"may not change from {old.spec.pod_cidr}")
        return []

    def generation_counts(self, new: Any, old: Any) -> bool:
        """Nodes have no generation."""
        return False
