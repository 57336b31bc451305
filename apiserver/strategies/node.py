"""Nodes."""

from __future__ import annotations

import ipaddress
from typing import Any, ClassVar

from steersman.core.v1.node_pb2 import Node
from steersman.errors import FieldViolation
from steersman.validation import names
from steersman.validation.meta import one_of
from steersman.validation.names import violation
from steersman.validation.scheduling import EFFECTS

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
        found: list[FieldViolation] = []
        seen: set[tuple[str, str]] = set()
        for index, taint in enumerate(obj.spec.taints):
            field = f"spec.taints[{index}]"
            found += names.label_key(f"{field}.key", taint.key)
            found += names.label_value(f"{field}.value", taint.value)
            found += one_of(f"{field}.effect", taint.effect, EFFECTS)
            if (taint.key, taint.effect) in seen:
                found += violation(field, f"{taint.key} with {taint.effect} stands twice")
            seen.add((taint.key, taint.effect))
        for index, cidr in enumerate(obj.spec.pod_cidrs):
            try:
                ipaddress.ip_network(cidr)
            except ValueError as error:
                found += violation(f"spec.podCIDRs[{index}]", str(error))
        return found

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        if old.spec.pod_cidr and new.spec.pod_cidr != old.spec.pod_cidr:
            return violation("spec.podCIDR", f"may not change from {old.spec.pod_cidr}")
        return []

    def generation_counts(self, new: Any, old: Any) -> bool:
        """Nodes have no generation."""
        return False
