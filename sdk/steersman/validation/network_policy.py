"""Rules of NetworkPolicies."""

from __future__ import annotations

import ipaddress
from typing import Any

from steersman.errors import FieldViolation
from steersman.validation import meta, names
from steersman.validation.meta import one_of
from steersman.validation.names import show, violation

PROTOCOLS = ("TCP", "UDP", "SCTP")
TYPES = ("Ingress", "Egress")


def network_policy(obj: Any) -> list[FieldViolation]:
    """What is wrong with a NetworkPolicy."""
    spec = obj.spec
    found = meta.selector("spec.podSelector", spec.pod_selector)
    for index, rule in enumerate(spec.ingress):
        found += _rule(f"spec.ingress[{index}]", rule.ports, "from", rule.from_peers)
    for index, rule in enumerate(spec.egress):
        found += _rule(f"spec.egress[{index}]", rule.ports, "to", rule.to)
    if len(spec.policy_types) > len(TYPES):
        found += violation("spec.policyTypes", f"{len(spec.policy_types)} types, at most {len(TYPES)}")
    for index, each in enumerate(spec.policy_types):
        found += one_of(f"spec.policyTypes[{index}]", each, TYPES)
    return found


def _rule(field: str, ports: Any, shown: str, peers: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    for index, port in enumerate(ports):
        found += _port(f"{field}.ports[{index}]", port)
    for index, peer in enumerate(peers):
        found += _peer(f"{field}.{shown}[{index}]", peer)
    return found


def _port(field: str, port: Any) -> list[FieldViolation]:
    found = one_of(f"{field}.protocol", port.protocol, PROTOCOLS)
    named = port.port.type == 1
    if port.HasField("port") and named:
        found += names.port_name(f"{field}.port", port.port.str_val)
    elif port.HasField("port"):
        found += names.port_number(f"{field}.port", port.port.int_val)
    if port.HasField("end_port"):
        found += names.port_number(f"{field}.endPort", port.end_port)
        if not port.HasField("port") or named:
            found += violation(f"{field}.endPort", "only where port is a number")
        elif port.end_port < port.port.int_val:
            found += violation(f"{field}.endPort", f"{port.end_port} is less than port, {port.port.int_val}")
    return found


def _peer(field: str, peer: Any) -> list[FieldViolation]:
    selects = peer.HasField("pod_selector") or peer.HasField("namespace_selector")
    found = meta.selector(f"{field}.podSelector", peer.pod_selector)
    found += meta.selector(f"{field}.namespaceSelector", peer.namespace_selector)
    if not selects and not peer.HasField("ip_block"):
        found += violation(field, "needs a selector or an ipBlock")
    if selects and peer.HasField("ip_block"):
        found += violation(f"{field}.ipBlock", "may not be given together with a selector")
    if peer.HasField("ip_block"):
        found += _block(f"{field}.ipBlock", peer.ip_block)
    return found


def _block(field: str, block: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    whole = _network(f"{field}.cidr", block.cidr, found)
    for index, text in enumerate(block.except_cidrs):
        here = f"{field}.except[{index}]"
        part = _network(here, text, found)
        if whole is None or part is None:
            continue
        if not _is_inside(part, whole) or part.prefixlen == whole.prefixlen:
            found += violation(here, f"{text} is not a smaller part of {block.cidr}")
    return found


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _is_inside(part: Network, whole: Network) -> bool:
    if isinstance(part, ipaddress.IPv4Network):
        return isinstance(whole, ipaddress.IPv4Network) and part.subnet_of(whole)
    return isinstance(whole, ipaddress.IPv6Network) and part.subnet_of(whole)


def _network(field: str, text: str, found: list[FieldViolation]) -> Network | None:
    try:
        if "/" not in text:
            raise ValueError(text)
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        found += violation(field, f"{show(text)} is not a range of addresses" if text else "required")
        return None
