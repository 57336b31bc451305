"""Rules of Endpoints."""

from __future__ import annotations

import ipaddress
from typing import Any

from steersman.errors import FieldViolation
from steersman.validation import names
from steersman.validation.meta import one_of
from steersman.validation.names import show, violation

PROTOCOLS = ("TCP", "UDP", "SCTP")


def endpoints(obj: Any) -> list[FieldViolation]:
    """What is wrong with Endpoints."""
    found: list[FieldViolation] = []
    for index, subset in enumerate(obj.subsets):
        here = f"subsets[{index}]"
        if not subset.addresses and not subset.not_ready_addresses:
            found += violation(here, "needs addresses or notReadyAddresses")
        for shown, addresses in (("addresses", subset.addresses), ("notReadyAddresses", subset.not_ready_addresses)):
            for number, address in enumerate(addresses):
                found += _address(f"{here}.{shown}[{number}]", address)
        for number, port in enumerate(subset.ports):
            at = f"{here}.ports[{number}]"
            if port.name:
                found += names.label_1123(f"{at}.name", port.name)
            elif len(subset.ports) > 1:
                found += violation(f"{at}.name", "required where there are several ports")
            found += names.port_number(f"{at}.port", port.port)
            found += one_of(f"{at}.protocol", port.protocol, PROTOCOLS)
            if port.HasField("app_protocol"):
                found += names.label_key(f"{at}.appProtocol", port.app_protocol)
    return found


def _address(field: str, address: Any) -> list[FieldViolation]:
    found = reachable(f"{field}.ip", address.ip)
    if address.hostname:
        found += names.label_1123(f"{field}.hostname", address.hostname)
    if address.HasField("node_name"):
        found += names.subdomain(f"{field}.nodeName", address.node_name)
    return found


def reachable(field: str, text: str) -> list[FieldViolation]:
    """An address that a Service may send connections to: none of the sender's own or of its network alone."""
    try:
        if "%" in text:
            # A zone means something on one machine only.
            raise ValueError(text)
        address = ipaddress.ip_address(text)
    except ValueError:
        return violation(field, f"{show(text)} is not an IP address" if text else "required")
    for what, wrong in (
        ("unspecified", address.is_unspecified),
        ("loopback", address.is_loopback),
        ("link-local", address.is_link_local),
        ("link-local multicast", _is_local_multicast(address)),
    ):
        if wrong:
            return violation(field, f"{text} is a {what} address")
    return []


def _is_local_multicast(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    network = "224.0.0.0/24" if address.version == 4 else "ff02::/16"
    return address in ipaddress.ip_network(network)
