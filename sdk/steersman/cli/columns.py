"""What tables show of each kind. Pure: objects and the present time in, cells out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from steersman import kinds
from steersman.clock import from_timestamp


class Column(NamedTuple):
    """A column: its heading, how a cell is made, and whether it is shown only with `-o wide`."""

    heading: str
    cell: Callable[[Any, datetime], str]
    wide: bool = False


def age(moment: Any, now: datetime) -> str:
    """How long ago a timestamp is, in one or two units: "45s", "3m12s", "5h", "12d"."""
    if not moment.seconds:
        return "<unknown>"
    return duration(max(0, int((now - from_timestamp(moment)).total_seconds())))


def duration(seconds: int) -> str:
    """A span of time as kubectl writes it."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y"


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


def pairs(labels: Any) -> str:
    """Labels as one text, `a=b,c=d`."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


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


def _containers(spec: Any) -> str:
    return ",".join(container.name for container in spec.containers)


def _images(spec: Any) -> str:
    return ",".join(container.image for container in spec.containers)


_NAME = Column("NAME", lambda obj, _: str(obj.metadata.name))
_AGE = Column("AGE", lambda obj, now: age(obj.metadata.creation_timestamp, now))

_COLUMNS: dict[str, list[Column]] = {
    "Pod": [
        _NAME,
        Column("READY", _ready),
        Column("STATUS", lambda pod, _: pod_status(pod)),
        Column("RESTARTS", _restarts),
        _AGE,
        Column("IP", lambda pod, _: pod.status.pod_ip or "<none>", wide=True),
        Column("NODE", lambda pod, _: pod.spec.node_name or "<none>", wide=True),
        Column("NOMINATED NODE", lambda pod, _: pod.status.nominated_node_name or "<none>", wide=True),
    ],
    "Node": [
        _NAME,
        Column("STATUS", _node_status),
        _AGE,
        Column("VERSION", lambda node, _: node.status.node_info.kubelet_version),
        Column("INTERNAL-IP", _address, wide=True),
        Column("POD-CIDR", lambda node, _: node.spec.pod_cidr or "<none>", wide=True),
        Column("OS-IMAGE", lambda node, _: node.status.node_info.os_image, wide=True),
        Column("KERNEL-VERSION", lambda node, _: node.status.node_info.kernel_version, wide=True),
        Column("CONTAINER-RUNTIME", lambda node, _: node.status.node_info.container_runtime_version, wide=True),
    ],
    "Service": [
        _NAME,
        Column("TYPE", lambda service, _: service.spec.type),
        Column("CLUSTER-IP", lambda service, _: service.spec.cluster_ip or "<none>"),
        Column("EXTERNAL-IP", _external),
        Column("PORT(S)", _service_ports),
        _AGE,
        Column("SELECTOR", lambda service, _: pairs(service.spec.selector), wide=True),
    ],
    "Deployment": [
        _NAME,
        Column("READY", lambda d, _: f"{d.status.ready_replicas}/{d.spec.replicas}"),
        Column("UP-TO-DATE", lambda d, _: str(d.status.updated_replicas)),
        Column("AVAILABLE", lambda d, _: str(d.status.available_replicas)),
        _AGE,
        Column("CONTAINERS", lambda d, _: _containers(d.spec.template.spec), wide=True),
        Column("IMAGES", lambda d, _: _images(d.spec.template.spec), wide=True),
    ],
    "ReplicaSet": [
        _NAME,
        Column("DESIRED", lambda rs, _: str(rs.spec.replicas)),
        Column("CURRENT", lambda rs, _: str(rs.status.replicas)),
        Column("READY", lambda rs, _: str(rs.status.ready_replicas)),
        _AGE,
        Column("CONTAINERS", lambda rs, _: _containers(rs.spec.template.spec), wide=True),
        Column("IMAGES", lambda rs, _: _images(rs.spec.template.spec), wide=True),
    ],
    "ConfigMap": [_NAME, Column("DATA", lambda c, _: str(len(c.data) + len(c.binary_data))), _AGE],
    "Secret": [_NAME, Column("TYPE", lambda s, _: s.type), Column("DATA", lambda s, _: str(len(s.data))), _AGE],
    "Namespace": [_NAME, Column("STATUS", lambda ns, _: ns.status.phase), _AGE],
    "EndpointSlice": [
        _NAME,
        Column("ADDRESSTYPE", lambda s, _: s.address_type),
        Column("PORTS", lambda s, _: ",".join(str(p.port) for p in s.ports) or "<unset>"),
        Column("ENDPOINTS", _endpoints),
        _AGE,
    ],
    "Lease": [_NAME, Column("HOLDER", lambda lease, _: lease.spec.holder_identity), _AGE],
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
_ANY = [_NAME, _AGE]
_NAMESPACE = Column("NAMESPACE", lambda obj, _: str(obj.metadata.namespace))


def columns(kind: kinds.Kind, *, wide: bool, with_namespace: bool) -> list[Column]:
    """The columns of a kind's table."""
    chosen = [column for column in _COLUMNS.get(kind.kind, _ANY) if wide or not column.wide]
    return [_NAMESPACE, *chosen] if with_namespace and kind.namespaced else chosen


def cells(obj: Any, chosen: Sequence[Column], now: datetime) -> list[str]:
    """An object's row."""
    return [column.cell(obj, now) for column in chosen]


def order(kind: kinds.Kind, objects: list[Any]) -> list[Any]:
    """The objects in the order in which people look for them: by name, events by time."""
    if kind.kind == "Event":
        return sorted(objects, key=lambda e: e.last_timestamp.seconds or e.metadata.creation_timestamp.seconds)
    return sorted(objects, key=lambda obj: (obj.metadata.namespace, obj.metadata.name))
