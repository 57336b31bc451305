"""Fields of a pod and resources of a container as text: the downward API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from steersman.core.v1.container_pb2 import Container
from steersman.core.v1.pod_pb2 import Pod
from steersman.core.v1.references_pb2 import ResourceFieldSelector

from nodeagent.pod import quantity
from nodeagent.pod.errors import PodConfigError

_KEYED = re.compile(r"^metadata\.(labels|annotations)\['([^']+)'\]$")


@dataclass(frozen=True)
class NodeFacts:
    """What fields may refer to beyond the pod's own specification.

    Attributes:
        host_ips: addresses of the node.
        pod_ips: addresses of the pod, known once its sandbox runs.
        allocatable: what the node offers, in base units (CPUs, bytes); a limit that is not set counts as this.
    """

    host_ips: tuple[str, ...] = ()
    pod_ips: tuple[str, ...] = ()
    allocatable: Mapping[str, Decimal] = field(default_factory=dict)


def _formatted(values: Mapping[str, str]) -> str:
    escaped = {
        key: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for key, value in values.items()
    }
    return "\n".join(f'{key}="{escaped[key]}"' for key in sorted(escaped))


def pod_field(pod: Pod, path: str, node: NodeFacts) -> str:
    """The value of a field that `fieldRef` may name.

    Raises:
        PodConfigError: the path names no such field.
    """
    keyed = _KEYED.match(path)
    if keyed:
        values = pod.metadata.labels if keyed.group(1) == "labels" else pod.metadata.annotations
        return values.get(keyed.group(2), "")
    match path:
        case "metadata.name":
            return pod.metadata.name
        case "metadata.namespace":
            return pod.metadata.namespace
        case "metadata.uid":
            return pod.metadata.uid
        case "metadata.labels":
            return _formatted(pod.metadata.labels)
        case "metadata.annotations":
            return _formatted(pod.metadata.annotations)
        case "spec.nodeName":
            return pod.spec.node_name
        case "spec.serviceAccountName":
            return pod.spec.service_account_name
        case "status.hostIP":
            return node.host_ips[0] if node.host_ips else ""
        case "status.hostIPs":
            return ",".join(node.host_ips)
        case "status.podIP":
            return node.pod_ips[0] if node.pod_ips else ""
        case "status.podIPs":
            return ",".join(node.pod_ips)
    raise PodConfigError(f"field path {path!r} is not supported")


def resource_field(pod: Pod, container: Container | None, selector: ResourceFieldSelector, node: NodeFacts) -> str:
    """The value of a limit or request in units of the selector's divisor, rounded up.

    Raises:
        PodConfigError: the selector names no container or resource.
    """
    if selector.container_name:
        every = (*pod.spec.containers, *pod.spec.init_containers)
        container = next((each for each in every if each.name == selector.container_name), None)
    if container is None:
        raise PodConfigError(f"there is no container {selector.container_name!r}")
    side, _, name = selector.resource.partition(".")
    if side not in ("limits", "requests") or not name:
        raise PodConfigError(f"resource {selector.resource!r} is not limits.<name> or requests.<name>")
    given = container.resources.limits if side == "limits" else container.resources.requests
    value = quantity.of(given, name)
    if value is None and side == "requests":
        value = quantity.of(container.resources.limits, name) or Decimal(0)
    if value is None:
        value = node.allocatable.get(name, Decimal(0))
    divisor = quantity.parse(selector.divisor.value) if selector.divisor.value not in ("", "0") else Decimal(1)
    return str(quantity.whole(value / divisor))
