"""Services: addresses and node ports are given out of the cluster's ranges."""

from __future__ import annotations

from typing import Any, ClassVar

from steersman.core.v1.service_pb2 import Service
from steersman.defaulting import service as defaulting
from steersman.errors import FieldViolation
from steersman.validation import names
from steersman.validation import service as validation

from apiserver.allocation import CLUSTER_IPS, NODE_PORTS
from apiserver.strategy import Strategy, Wanted

_WITH_NODE_PORTS = ("NodePort", "LoadBalancer")


class ServiceStrategy(Strategy):
    """Defaults, rules, and what a Service takes out of the shared ranges."""

    message = Service
    fields: ClassVar = {
        "spec.clusterIP": lambda service: str(service.spec.cluster_ip),
        "spec.type": lambda service: str(service.spec.type),
    }

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.service(obj)

    def prepare_update(self, new: Any, old: Any) -> None:
        """What was given out and is not mentioned stays; what the type no longer has goes."""
        if new.spec.type == "ExternalName":
            new.spec.ClearField("cluster_ip")
            new.spec.ClearField("cluster_ips")
        elif old.spec.cluster_ip and not (new.spec.cluster_ip or new.spec.cluster_ips):
            new.spec.cluster_ip = old.spec.cluster_ip
            new.spec.cluster_ips.extend(old.spec.cluster_ips)
        before = {(port.protocol, port.port): port.node_port for port in old.spec.ports}
        for port in new.spec.ports:
            if _has_node_ports(new.spec):
                port.node_port = port.node_port or before.get((port.protocol, port.port), 0)
            elif old.spec.type in _WITH_NODE_PORTS:
                port.node_port = 0

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.validate(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return validation.validate_update(new, old)

    def validate_name(self, name: str) -> list[FieldViolation]:
        """Names of Services are names in DNS."""
        return names.label_1035("metadata.name", name)

    def claims(self, obj: Any, old: Any | None) -> list[Wanted]:
        """An address unless the Service is headless, and a port for each of its ports where the type has them."""
        holds = set(self.held(old)) if old is not None else set()
        spec = obj.spec
        wanted: list[Wanted] = []
        if spec.type != "ExternalName" and spec.cluster_ip != "None" and (CLUSTER_IPS, spec.cluster_ip) not in holds:
            wanted.append(Wanted(CLUSTER_IPS, spec.cluster_ip, _put_address))
        if _has_node_ports(spec):
            by_number: dict[int, list[str]] = {}
            for index, port in enumerate(spec.ports):
                # TCP and UDP of one number may share a port; each number is taken once.
                if port.node_port and (NODE_PORTS, str(port.node_port)) in holds:
                    continue
                if port.node_port and by_number.setdefault(port.node_port, []):
                    continue
                by_number.setdefault(port.node_port, []).append(port.protocol)
                value = str(port.node_port) if port.node_port else ""
                wanted.append(Wanted(NODE_PORTS, value, _PutNodePort(index)))
        return wanted

    def held(self, obj: Any) -> list[tuple[str, str]]:
        """See `Strategy.held`."""
        taken: list[tuple[str, str]] = []
        if obj.spec.cluster_ip not in ("", "None"):
            taken.append((CLUSTER_IPS, obj.spec.cluster_ip))
        ports = sorted({port.node_port for port in obj.spec.ports if port.node_port})
        return [*taken, *((NODE_PORTS, str(port)) for port in ports)]


def _has_node_ports(spec: Any) -> bool:
    """Whether each port of the Service is also one of every node."""
    return bool(spec.type == "NodePort" or (spec.type == "LoadBalancer" and spec.allocate_load_balancer_node_ports))


def _put_address(service: Any, address: str) -> None:
    service.spec.cluster_ip = address
    service.spec.ClearField("cluster_ips")
    service.spec.cluster_ips.append(address)


class _PutNodePort:
    def __init__(self, index: int) -> None:
        self._index = index

    def __call__(self, service: Any, port: str) -> None:
        service.spec.ports[self._index].node_port = int(port)
