"""Rules of EndpointSlices."""

from __future__ import annotations

import ipaddress
from typing import Any

from steersman.errors import FieldViolation
from steersman.validation import names
from steersman.validation.meta import one_of
from steersman.validation.names import violation

ENDPOINTS_MAX = 1000
PORTS_MAX = 100
ADDRESSES_MAX = 100
_VERSIONS = {"IPv4": 4, "IPv6": 6}


def endpoint_slice(obj: Any) -> list[FieldViolation]:
    """What is wrong with a slice."""
    found = one_of("addressType", obj.address_type, (*_VERSIONS, "FQDN"))
    if len(obj.endpoints) > ENDPOINTS_MAX:
        found += violation("endpoints", f"{len(obj.endpoints)} endpoints, at most {ENDPOINTS_MAX}")
    if len(obj.ports) > PORTS_MAX:
        found += violation("ports", f"{len(obj.ports)} ports, at most {PORTS_MAX}")
    for index, endpoint in enumerate(obj.endpoints):
        field = f"endpoints[{index}].addresses"
        if not 0 < len(endpoint.addresses) <= ADDRESSES_MAX:
            found += violation(field, f"needs 1 to {ADDRESSES_MAX}")
        for address in endpoint.addresses:
            found += _address(field, obj.address_type, address)
    for index, port in enumerate(obj.ports):
        found += one_of(f"ports[{index}].protocol", port.protocol, ("TCP", "UDP", "SCTP"))
        if port.HasField("port"):
            found += names.port_number(f"ports[{index}].port", port.port)
    return found


def _address(field: str, kind: str, address: str) -> list[FieldViolation]:
    if kind not in _VERSIONS:
        return names.subdomain(field, address)
    try:
        fits = ipaddress.ip_address(address).version == _VERSIONS[kind]
    except ValueError:
        fits = False
    return [] if fits else violation(field, f"{names.show(address)} is not an {kind} address")
