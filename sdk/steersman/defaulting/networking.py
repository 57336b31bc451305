"""Defaults of Ingresses, their classes, NetworkPolicies and Endpoints."""

from __future__ import annotations

from itertools import chain
from typing import Any


def network_policy(obj: Any) -> None:
    """Fills in a NetworkPolicy."""
    spec = obj.spec
    spec.pod_selector.SetInParent()
    for rule in chain(spec.ingress, spec.egress):
        for port in rule.ports:
            if not port.HasField("protocol"):
                port.protocol = "TCP"
    if not spec.policy_types:
        spec.policy_types.append("Ingress")
        if spec.egress:
            spec.policy_types.append("Egress")


def ingress_class(obj: Any) -> None:
    """Fills in an IngressClass."""
    if obj.spec.HasField("parameters") and not obj.spec.parameters.HasField("scope"):
        obj.spec.parameters.scope = "Cluster"


def endpoints(obj: Any) -> None:
    """Fills in Endpoints."""
    for subset in obj.subsets:
        for port in subset.ports:
            port.protocol = port.protocol or "TCP"


def endpoint_slice(obj: Any) -> None:
    """Fills in the names and protocols of ports."""
    for port in obj.ports:
        if not port.HasField("name"):
            port.name = ""
        if not port.HasField("protocol"):
            port.protocol = "TCP"
