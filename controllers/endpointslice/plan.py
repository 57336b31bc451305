"""Which EndpointSlices a Service shall have. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steersman.core.v1.references_pb2 import ObjectReference
from steersman.core.v1.service_pb2 import Service
from steersman.discovery.v1.endpoint_slice_pb2 import Endpoint, EndpointPort, EndpointSlice
from steersman.meta.v1.object_meta_pb2 import OwnerReference

from controllers.pods import FINISHED, is_ready

SERVICE_LABEL = "kubernetes.io/service-name"
MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"
MANAGED_BY = "endpointslice-controller.k8s.io"
ZONE_LABEL = "topology.kubernetes.io/zone"
ENDPOINTS_MAX = 100


@dataclass(frozen=True)
class CreateSlice:
    """Create a slice."""

    slice: EndpointSlice


@dataclass(frozen=True)
class UpdateSlice:
    """Write a slice that is there."""

    slice: EndpointSlice


@dataclass(frozen=True)
class DeleteSlice:
    """Delete a slice."""

    slice: EndpointSlice


Action = CreateSlice | UpdateSlice | DeleteSlice
Ports = tuple[tuple[str, str, int, str], ...]


def plan(
    service: Service | None,
    pods: Sequence[Any],
    slices: Sequence[EndpointSlice],
    zones: Mapping[str, str],
) -> list[Action]:
    """Decides, changing as few slices as possible.

    Args:
        service: the Service; None when it is gone.
        pods: pods of its namespace that its selector matches.
        slices: the slices that this controller keeps for it.
        zones: zone of each node that has one.
    """
    slices = [s for s in slices if not s.metadata.HasField("deletion_timestamp")]
    if service is None or not service.spec.selector or service.spec.type == "ExternalName":
        return [DeleteSlice(one) for one in slices]
    wanted: dict[Ports, dict[str, Endpoint]] = {}
    for pod in pods:
        if not pod.status.pod_ip or pod.status.phase in FINISHED:
            continue
        ports = ports_of(service, pod)
        if ports or not service.spec.ports:
            wanted.setdefault(ports, {})[pod.metadata.uid] = endpoint_of(service, pod, zones)
    if not wanted:
        # An empty slice says "no endpoints" at once, where none at all would say "nobody has looked yet".
        wanted[tuple((p.name, p.protocol, 0, p.app_protocol) for p in service.spec.ports)] = {}
    actions: list[Action] = []
    left = list(slices)
    for ports, endpoints in sorted(wanted.items()):
        # A slice without endpoints can be filled with any.
        same = [one for one in left if _ports_key(one) == ports or not one.endpoints]
        left = [one for one in left if one not in same]
        actions += _fit(service, ports, endpoints, same)
    actions += [DeleteSlice(one) for one in left]
    if service.metadata.HasField("deletion_timestamp"):
        # Its slices are going, perhaps before it: one that waits for them would wait for ever for new ones.
        actions = [action for action in actions if not isinstance(action, CreateSlice)]
    return actions


def _fit(
    service: Service, ports: Ports, endpoints: Mapping[str, Endpoint], slices: Sequence[EndpointSlice]
) -> list[Action]:
    """Fits endpoints of one set of ports into slices: each stays where it is; new ones fill what has room."""
    actions: list[Action] = []
    missing = dict(endpoints)
    drafts: list[tuple[EndpointSlice, EndpointSlice]] = []
    for existing in sorted(slices, key=lambda s: s.metadata.name):
        draft = _blank(service, ports)
        draft.metadata.CopyFrom(existing.metadata)
        draft.metadata.labels.update(_labels(service))
        for endpoint in existing.endpoints:
            current = missing.pop(endpoint.target_ref.uid, None)
            if current is not None:
                draft.endpoints.append(current)
        drafts.append((existing, draft))
    for _, draft in drafts:
        while missing and len(draft.endpoints) < ENDPOINTS_MAX:
            draft.endpoints.append(missing.pop(next(iter(missing))))
    for index, (existing, draft) in enumerate(drafts):
        if not draft.endpoints and (index > 0 or endpoints):
            actions.append(DeleteSlice(existing))
        elif not _same(existing, draft):
            actions.append(UpdateSlice(draft))
    while missing or (not drafts and not actions):
        fresh = _blank(service, ports)
        while missing and len(fresh.endpoints) < ENDPOINTS_MAX:
            fresh.endpoints.append(missing.pop(next(iter(missing))))
        actions.append(CreateSlice(fresh))
        if not missing:
            break
    return actions


def _same(one: EndpointSlice, other: EndpointSlice) -> bool:
    return bool(
        one.endpoints == other.endpoints
        and one.ports == other.ports
        and one.metadata.labels == other.metadata.labels
        and one.address_type == other.address_type
    )


def _labels(service: Service) -> dict[str, str]:
    labels = {k: v for k, v in service.metadata.labels.items() if k not in (SERVICE_LABEL, MANAGED_BY_LABEL)}
    if service.spec.cluster_ip == "None":
        labels["service.kubernetes.io/headless"] = ""
    return {**labels, SERVICE_LABEL: service.metadata.name, MANAGED_BY_LABEL: MANAGED_BY}


def _blank(service: Service, ports: Ports) -> EndpointSlice:
    made = EndpointSlice(address_type="IPv4")
    made.metadata.namespace = service.metadata.namespace
    made.metadata.generate_name = f"{service.metadata.name}-"
    made.metadata.labels.update(_labels(service))
    made.metadata.owner_references.append(
        OwnerReference(
            api_version="v1",
            kind="Service",
            name=service.metadata.name,
            uid=service.metadata.uid,
            controller=True,
            block_owner_deletion=True,
        )
    )
    for name, protocol, number, app_protocol in ports:
        port = EndpointPort(name=name, protocol=protocol)
        if number:
            port.port = number
        if app_protocol:
            port.app_protocol = app_protocol
        made.ports.append(port)
    return made


def _ports_key(one: EndpointSlice) -> Ports:
    return tuple((p.name, p.protocol, p.port, p.app_protocol) for p in one.ports)


def ports_of(service: Service, pod: Any) -> Ports:
    """The Service's ports as this pod has them; a port whose name the pod does not know is left out."""
    found: list[tuple[str, str, int, str]] = []
    for port in service.spec.ports:
        target = port.target_port
        number = target.int_val
        if target.type == 1:
            number = next(
                (
                    declared.container_port
                    for container in pod.spec.containers
                    for declared in container.ports
                    if declared.name == target.str_val and declared.protocol == port.protocol
                ),
                0,
            )
        if number:
            found.append((port.name, port.protocol, number, port.app_protocol))
    return tuple(found)


def endpoint_of(service: Service, pod: Any, zones: Mapping[str, str]) -> Endpoint:
    """The endpoint that a pod is."""
    terminating = pod.metadata.HasField("deletion_timestamp")
    serving = is_ready(pod)
    endpoint = Endpoint(
        addresses=[pod.status.pod_ip],
        node_name=pod.spec.node_name,
        target_ref=ObjectReference(
            kind="Pod", namespace=pod.metadata.namespace, name=pod.metadata.name, uid=pod.metadata.uid
        ),
    )
    endpoint.conditions.ready = service.spec.publish_not_ready_addresses or (serving and not terminating)
    endpoint.conditions.serving = serving
    endpoint.conditions.terminating = terminating
    zone = zones.get(pod.spec.node_name)
    if zone:
        endpoint.zone = zone
    if pod.spec.hostname and pod.spec.subdomain == service.metadata.name:
        endpoint.hostname = pod.spec.hostname
    return endpoint
