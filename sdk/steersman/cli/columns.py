"""What tables show of each kind. Pure: objects and the present time in, cells out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from steersman import kinds
from steersman.cli.access_columns import ACCESS
from steersman.cli.cells import AGE, NAME, Column, age, containers, images, pairs
from steersman.cli.resource_columns import RESOURCES
from steersman.cli.workload_columns import WORKLOADS


def pod_status(pod: Any) -> str:
    """The one word that says best how a pod is doing."""
    if pod.metadata.HasField("deletion_timestamp"):
        return "Terminating"
    for index, status in enumerate(pod.status.init_container_statuses):
        state = status.state
        if state.HasField("terminated"):
            if state.terminated.exit_code == 0:
                continue
            return f"Init:{state.terminated.reason or f'ExitCode:{state.terminated.exit_code}'}"
        if status.started and status.ready:
            continue
        if state.HasField("waiting") and state.waiting.reason not in ("", "PodInitializing"):
            return f"Init:{state.waiting.reason}"
        return f"Init:{index}/{len(pod.spec.init_containers)}"
    word = str(pod.status.reason or pod.status.phase or "Unknown")
    for status in reversed(pod.status.container_statuses):
        if status.state.HasField("waiting") and status.state.waiting.reason:
            word = status.state.waiting.reason
        elif status.state.HasField("terminated"):
            terminated = status.state.terminated
            word = terminated.reason or f"ExitCode:{terminated.exit_code}"
    return word


def _ready(pod: Any, _now: datetime) -> str:
    return f"{sum(s.ready for s in pod.status.container_statuses)}/{len(pod.spec.containers)}"


def _restarts(pod: Any, now: datetime) -> str:
    count = sum(s.restart_count for s in pod.status.container_statuses)
    ended = [
        s.last_state.terminated.finished_at
        for s in pod.status.container_statuses
        if s.last_state.HasField("terminated")
    ]
    if not count or not ended:
        return str(count)
    return f"{count} ({age(max(ended, key=lambda t: t.seconds), now)} ago)"


def _node_status(node: Any, _now: datetime) -> str:
    ready = next((c.status for c in node.status.conditions if c.type == "Ready"), "Unknown")
    word = {"True": "Ready", "False": "NotReady"}.get(ready, "Unknown")
    return f"{word},SchedulingDisabled" if node.spec.unschedulable else word


def _roles(node: Any, _now: datetime) -> str:
    prefix = "node-role.kubernetes.io/"
    return ",".join(sorted(key[len(prefix) :] for key in node.metadata.labels if key.startswith(prefix))) or "<none>"


def _address(node: Any, _now: datetime) -> str:
    return next((a.address for a in node.status.addresses if a.type == "InternalIP"), "<none>")


def _service_ports(service: Any, _now: datetime) -> str:
    shown = (
        f"{p.port}:{p.node_port}/{p.protocol}" if p.node_port else f"{p.port}/{p.protocol}" for p in service.spec.ports
    )
    return ",".join(shown) or "<none>"


def _external(service: Any, _now: datetime) -> str:
    if service.spec.type == "ExternalName":
        return str(service.spec.external_name)
    given = [i.ip or i.hostname for i in service.status.load_balancer.ingress] + list(service.spec.external_ips)
    return ",".join(given) or ("<pending>" if service.spec.type == "LoadBalancer" else "<none>")


def _endpoints(one: Any, _now: datetime) -> str:
    addresses = [address for endpoint in one.endpoints for address in endpoint.addresses]
    shown = ",".join(addresses[:3])
    return f"{shown} + {len(addresses) - 3} more" if len(addresses) > 3 else shown or "<none>"


def _object(event: Any, _now: datetime) -> str:
    about = event.involved_object
    return f"{about.kind.lower()}/{about.name}"


def _last_seen(event: Any, now: datetime) -> str:
    moment = event.last_timestamp if event.last_timestamp.seconds else event.metadata.creation_timestamp
    return age(moment, now)


_COLUMNS: dict[str, list[Column]] = {
    "Pod": [
        NAME,
        Column("READY", _ready),
        Column("STATUS", lambda pod, _: pod_status(pod)),
        Column("RESTARTS", _restarts),
        AGE,
        Column("IP", lambda pod, _: pod.status.pod_ip or "<none>", wide=True),
        Column("NODE", lambda pod, _: pod.spec.node_name or "<none>", wide=True),
        Column("NOMINATED NODE", lambda pod, _: pod.status.nominated_node_name or "<none>", wide=True),
    ],
    "Node": [
        NAME,
        Column("STATUS", _node_status),
        Column("ROLES", _roles),
        AGE,
        Column("VERSION", lambda node, _: node.status.node_info.kubelet_version),
        Column("INTERNAL-IP", _address, wide=True),
        Column("POD-CIDR", lambda node, _: node.spec.pod_cidr or "<none>", wide=True),
        Column("OS-IMAGE", lambda node, _: node.status.node_info.os_image, wide=True),
        Column("KERNEL-VERSION", lambda node, _: node.status.node_info.kernel_version, wide=True),
        Column("CONTAINER-RUNTIME", lambda node, _: node.status.node_info.container_runtime_version, wide=True),
    ],
    "Service": [
        NAME,
        Column("TYPE", lambda service, _: service.spec.type),
        Column("CLUSTER-IP", lambda service, _: service.spec.cluster_ip or "<none>"),
        Column("EXTERNAL-IP", _external),
        Column("PORT(S)", _service_ports),
        AGE,
        Column("SELECTOR", lambda service, _: pairs(service.spec.selector), wide=True),
    ],
    "Deployment": [
        NAME,
        Column("READY", lambda d, _: f"{d.status.ready_replicas}/{d.spec.replicas}"),
        Column("UP-TO-DATE", lambda d, _: str(d.status.updated_replicas)),
        Column("AVAILABLE", lambda d, _: str(d.status.available_replicas)),
        AGE,
        Column("CONTAINERS", lambda d, _: containers(d.spec.template.spec), wide=True),
        Column("IMAGES", lambda d, _: images(d.spec.template.spec), wide=True),
    ],
    "ReplicaSet": [
        NAME,
        Column("DESIRED", lambda rs, _: str(rs.spec.replicas)),
        Column("CURRENT", lambda rs, _: str(rs.status.replicas)),
        Column("READY", lambda rs, _: str(rs.status.ready_replicas)),
        AGE,
        Column("CONTAINERS", lambda rs, _: containers(rs.spec.template.spec), wide=True),
        Column("IMAGES", lambda rs, _: images(rs.spec.template.spec), wide=True),
    ],
    "ConfigMap": [NAME, Column("DATA", lambda c, _: str(len(c.data) + len(c.binary_data))), AGE],
    "Secret": [NAME, Column("TYPE", lambda s, _: s.type), Column("DATA", lambda s, _: str(len(s.data))), AGE],
    "Namespace": [NAME, Column("STATUS", lambda ns, _: ns.status.phase), AGE],
    "EndpointSlice": [
        NAME,
        Column("ADDRESSTYPE", lambda s, _: s.address_type),
        Column("PORTS", lambda s, _: ",".join(str(p.port) for p in s.ports) or "<unset>"),
        Column("ENDPOINTS", _endpoints),
        AGE,
    ],
    "Lease": [NAME, Column("HOLDER", lambda lease, _: lease.spec.holder_identity), AGE],
    "Event": [
        Column("LAST SEEN", _last_seen),
        Column("TYPE", lambda event, _: event.type),
        Column("REASON", lambda event, _: event.reason),
        Column("OBJECT", _object),
        Column("SOURCE", lambda event, _: event.source.component, wide=True),
        Column("COUNT", lambda event, _: str(event.count), wide=True),
        Column("MESSAGE", lambda event, _: event.message),
    ],
}
_COLUMNS |= {**WORKLOADS, **RESOURCES, **ACCESS}
_ANY = [NAME, AGE]
_NAMESPACE = Column("NAMESPACE", lambda obj, _: str(obj.metadata.namespace))


def _last_seconds(event: Any) -> int:
    last = getattr(event, "last_timestamp", None) or event.series.last_observed_time
    return int(last.seconds or event.metadata.creation_timestamp.seconds)


def columns(kind: kinds.Kind, *, wide: bool, with_namespace: bool) -> list[Column]:
    """The columns of a kind's table."""
    known = _COLUMNS.get(f"{kind.kind}.{kind.group}") or _COLUMNS.get(kind.kind, _ANY)
    chosen = [column for column in known if wide or not column.wide]
    return [_NAMESPACE, *chosen] if with_namespace and kind.namespaced else chosen


def cells(obj: Any, chosen: Sequence[Column], now: datetime) -> list[str]:
    """An object's row."""
    return [column.cell(obj, now) for column in chosen]


def order(kind: kinds.Kind, objects: list[Any]) -> list[Any]:
    """The objects in the order in which people look for them: by name, events by time."""
    if kind.kind == "Event":
        return sorted(objects, key=_last_seconds)
    return sorted(objects, key=lambda obj: (obj.metadata.namespace, obj.metadata.name))
