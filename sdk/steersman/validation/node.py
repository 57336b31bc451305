"""Rules of nodes."""

from __future__ import annotations

import ipaddress
from typing import Any

from steersman.errors import FieldViolation
from steersman.validation import names
from steersman.validation.meta import one_of
from steersman.validation.names import violation
from steersman.validation.scheduling import EFFECTS


def node(obj: Any) -> list[FieldViolation]:
    """What is wrong with a node: its taints and its ranges."""
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
