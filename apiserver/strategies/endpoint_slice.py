"""EndpointSlices."""

from __future__ import annotations

import ipaddress
from typing import Any

from steersman.discovery.v1.endpoint_slice_pb2 import EndpointSlice
from steersman.errors import FieldViolation
from steersman.validation import names
from steersman.validation.meta import one_of
from steersman.validation.names import violation

from apiserver.strategy import Strategy

ENDPOINTS_MAX = 1000
PORTS_MAX = 100
ADDRESSES_MAX = 100
_VERSIONS = {"IPv4": 4, "IPv6": 6}


class EndpointSliceStrategy(Strategy):
    """Defaults and rules."""

    message = EndpointSlice

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        for port in obj.ports:
            if not port.HasField("name"):
                port.name = ""
            if not port.HasField("protocol"):
                port.protocol = "TCP"

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
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
                found += self._address(field, obj.address_type, address)
        for index, port in enumerate(obj.ports):
            found += one_of(f"ports[{index}].protocol", port.protocol, ("TCP", "UDP", "SCTP"))
            if port.HasField("port"):
                found += names.port_number(f"ports[{index}].port", port.port)
        return found

    @staticmethod
    def _address(field: str, kind: str, address: str) -> list[FieldViolation]:
        if kind not in _VERSIONS:
            return names.subdomain(field, address)
        try:
            fits = ipaddress.ip_address(address).version == _VERSIONS[kind]
        except ValueError:
            fits = False
        return [] if fits else violation(field, f"{names.show(address)} is not an {kind} address")

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return [] if new.address_type == old.address_type else violation("addressType", "may not change")

    def generation_counts(self, new: Any, old: Any) -> bool:
        """The generation counts every change but one of metadata."""
        return bool(new.endpoints != old.endpoints or new.ports != old.ports)
