"""What `steer describe` says of objects. Pure: objects and what was found around them in, text out.

The kinds that people look at most are told in words of their own, in the order in which one asks; of all others
everything is shown as a manifest has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from steersman import kinds
from steersman.cli import cells, columns, output
from steersman.cli.why.facts import amount
from steersman.cli.why.pod import probe_words
from steersman.cli.workload_columns import amount as number_or_share
from steersman.manifests import codec, files
from steersman.quantity import parse
from steersman.quotas import pod_amounts

# A line: how far in, a name, a value; a name without a value is a title.
Line = tuple[int, str, str]


@dataclass(frozen=True)
class Around:
    """What was found around an object.

    Attributes:
        events: about it.
        pods: on it, or its own.
        endpoints: slices of a service.
        owned: replica sets of a deployment.
        quotas, limits: of a namespace.
    """

    events: Sequence[Any] = ()
    pods: Sequence[Any] = ()
    endpoints: Sequence[Any] = ()
    owned: Sequence[Any] = ()
    quotas: Sequence[Any] = ()
    limits: Sequence[Any] = ()
    show_events: bool = field(default=True)


def describe(obj: Any, around: Around, now: datetime) -> str:
    """The whole description of an object."""
    kind = kinds.of(obj)
    lines = list(_head(obj, kind, now))
    tell = _TELLERS.get(f"{kind.kind}.{kind.group}" if kind.group == "events.k8s.io" else kind.kind)
    blocks: list[str] = []
    if tell is not None:
        lines += tell(obj, around, now)
    else:
        blocks += _as_manifest(obj)
    text = [aligned(lines), *blocks]
    if tell is not None:
        text += _conditions(obj, now)
    if around.show_events:
        text.append(_events(around.events, now))
    return "\n".join(part for part in text if part)


def aligned(lines: Iterable[Line]) -> str:
    """Lines with their values in one column for each depth."""
    lines = list(lines)
    widths: dict[int, int] = {}
    for depth, name, _ in lines:
        widths[depth] = max(widths.get(depth, 0), output.width_of(name) + 1)
    shown = []
    for depth, name, value in lines:
        first, *rest = [output.printable(each) for each in value.split("\n")] if value else [""]
        front = "  " * depth + (f"{name}:".ljust(widths[depth]) if name else " " * widths[depth])
        shown.append(f"{front}  {first}".rstrip())
        shown += [f"{' ' * (2 * depth + widths[depth])}  {each}".rstrip() for each in rest]
    return "\n".join(shown)


def _pairs(values: Mapping[str, str], separator: str = "=") -> str:
    return "\n".join(f"{key}{separator}{value}" for key, value in sorted(values.items())) or "<none>"


def _moment(stamp: Any, now: datetime) -> str:
    return f"{codec.show_time(stamp)} ({cells.age(stamp, now)} ago)" if stamp.seconds else "<unset>"


def _head(obj: Any, kind: kinds.Kind, now: datetime) -> Iterable[Line]:
    metadata = obj.metadata
    yield 0, "Name", metadata.name
    if kind.namespaced:
        yield 0, "Namespace", metadata.namespace
    if kind.kind not in _TELLERS:
        yield 0, "Kind", str(kind)
    yield 0, "Created", _moment(metadata.creation_timestamp, now)
    yield 0, "Labels", _pairs(metadata.labels)
    shown = {k: v for k, v in metadata.annotations.items() if k != "kubectl.kubernetes.io/last-applied-configuration"}
    yield 0, "Annotations", _pairs({key: value[:200] for key, value in shown.items()}, ": ")
    owners = [f"{owner.kind}/{owner.name}" for owner in metadata.owner_references if owner.controller]
    if owners:
        yield 0, "Controlled By", owners[0]
    others = [f"{owner.kind}/{owner.name}" for owner in metadata.owner_references if not owner.controller]
    if others:
        yield 0, "Owned By", ", ".join(others)
    if metadata.HasField("deletion_timestamp"):
        yield 0, "Being deleted", f"since {cells.age(metadata.deletion_timestamp, now)}"
        if metadata.finalizers:
            yield 0, "Finalizers", "\n".join(metadata.finalizers)


# --- pods -----------------------------------------------------------------------------------------------------------


def _pod(pod: Any, around: Around, now: datetime) -> list[Line]:
    spec, status = pod.spec, pod.status
    node = f"{spec.node_name}/{status.host_ip}".rstrip("/") if spec.node_name else "<none>"
    lines: list[Line] = [
        (0, "Status", columns.pod_status(pod)),
        *([(0, "Reason", status.reason)] if status.reason else []),
        *([(0, "Message", status.message)] if status.message else []),
        (0, "Node", node),
        (0, "Start Time", _moment(status.start_time, now)),
        (0, "IP", ", ".join(each.ip for each in status.pod_ips) or status.pod_ip or "<none>"),
        (0, "Service Account", spec.service_account_name or "<none>"),
        (0, "Priority", str(spec.priority) + (f" ({spec.priority_class_name})" if spec.priority_class_name else "")),
        (0, "QoS Class", status.qos_class or "<none>"),
        (0, "Node-Selectors", _pairs(spec.node_selector)),
        (0, "Tolerations", "\n".join(map(_toleration, spec.tolerations)) or "<none>"),
    ]
    if status.nominated_node_name:
        lines.append((0, "Nominated Node", status.nominated_node_name))
    for title, specs, statuses in (
        ("Init Containers", spec.init_containers, status.init_container_statuses),
        ("Containers", spec.containers, status.container_statuses),
        ("Ephemeral Containers", spec.ephemeral_containers, status.ephemeral_container_statuses),
    ):
        lines += _containers(title, specs, {each.name: each for each in statuses}, now)
    return lines + _volumes(spec)


def _toleration(toleration: Any) -> str:
    value = f"={toleration.value}" if toleration.value else ""
    text = f"{toleration.key}{value}" + (f":{toleration.effect}" if toleration.effect else "")
    text = text or "everything"
    if toleration.operator == "Exists" and toleration.key:
        text += " op=Exists"
    return text + (f" for {toleration.toleration_seconds}s" if toleration.HasField("toleration_seconds") else "")


def _containers(title: str, specs: Sequence[Any], statuses: Mapping[str, Any], now: datetime) -> list[Line]:
    lines: list[Line] = [(0, title, "")] if specs else []
    for each in specs:
        container = each
        if hasattr(each, "ephemeral_container_common"):
            container = each.ephemeral_container_common
        lines += [(1, container.name, ""), (2, "Image", container.image)]
        status = statuses.get(container.name)
        if container.command or container.args:
            lines.append((2, "Command", " ".join([*container.command, *container.args])))
        ports = [f"{port.container_port}/{port.protocol or 'TCP'}" for port in container.ports]
        if ports:
            lines.append((2, "Ports", ", ".join(ports)))
        if status is not None:
            lines += _state(status, now)
        for name in ("limits", "requests"):
            values = {key: value.value for key, value in getattr(container.resources, name).items()}
            if values:
                lines.append(
                    (2, name.capitalize(), ", ".join(f"{key} {value}" for key, value in sorted(values.items())))
                )
        for name in ("liveness", "readiness", "startup"):
            if container.HasField(f"{name}_probe"):
                lines.append((2, name.capitalize(), probe_words(getattr(container, f"{name}_probe"))))
        environment = [_variable(each) for each in container.env] + [_source(each) for each in container.env_from]
        lines.append((2, "Environment", "\n".join(environment) or "<none>"))
        mounts = [
            f"{mount.mount_path} from {mount.name} ({'ro' if mount.read_only else 'rw'})"
            for mount in container.volume_mounts
        ]
        lines.append((2, "Mounts", "\n".join(mounts) or "<none>"))
    return lines


def _state(status: Any, now: datetime) -> list[Line]:
    lines: list[Line] = []
    for title, state in (("State", status.state), ("Last State", status.last_state)):
        if state.HasField("running"):
            lines.append((2, title, f"Running since {_moment(state.running.started_at, now)}"))
        elif state.HasField("waiting"):
            message = f": {state.waiting.message}" if state.waiting.message else ""
            lines.append((2, title, f"Waiting, {state.waiting.reason or '?'}{message}"))
        elif state.HasField("terminated"):
            ended = state.terminated
            text = f"Terminated, {ended.reason or '?'}, exit code {ended.exit_code}, {_moment(ended.finished_at, now)}"
            lines.append((2, title, text + (f"\n{ended.message}" if ended.message else "")))
    lines.append((2, "Ready", str(status.ready)))
    lines.append((2, "Restart Count", str(status.restart_count)))
    return lines


def _variable(variable: Any) -> str:
    source = variable.value_from
    if source.HasField("config_map_key_ref"):
        reference = source.config_map_key_ref
        text = f"key {reference.key} of configmap {reference.local_object_reference.name}"
    elif source.HasField("secret_key_ref"):
        reference = source.secret_key_ref
        text = f"key {reference.key} of secret {reference.local_object_reference.name}"
    elif source.HasField("field_ref"):
        text = f"field {source.field_ref.field_path}"
    elif source.HasField("resource_field_ref"):
        text = f"resource {source.resource_field_ref.resource}"
    else:
        return f"{variable.name}: {variable.value}"
    return f"{variable.name}: <{text}>"


def _source(source: Any) -> str:
    kind, part = (
        ("configmap", source.config_map_ref) if source.HasField("config_map_ref") else ("secret", source.secret_ref)
    )
    prefix = f" with prefix {source.prefix}" if source.prefix else ""
    return f"<all of {kind} {part.local_object_reference.name}{prefix}>"


def _volumes(spec: Any) -> list[Line]:
    lines: list[Line] = [(0, "Volumes", "" if spec.volumes else "<none>")]
    for volume in spec.volumes:
        kind, value = next(((f.json_name, v) for f, v in volume.volume_source.ListFields()), ("emptyDir", None))
        data = codec.encode(value) if value is not None else {}
        shown = ", ".join(f"{key} {each}" for key, each in data.items() if not isinstance(each, (dict, list)))
        lines.append((1, volume.name, f"{kind}" + (f" ({shown})" if shown else "")))
    return lines


# --- workloads ------------------------------------------------------------------------------------------------------


def _template(template: Any, now: datetime) -> list[Line]:
    spec = template.spec
    lines: list[Line] = [(0, "Pod Template", ""), (1, "Labels", _pairs(template.metadata.labels))]
    if spec.service_account_name:
        lines.append((1, "Service Account", spec.service_account_name))
    for title, specs in (("Init Containers", spec.init_containers), ("Containers", spec.containers)):
        lines += [(depth + 1, name, value) for depth, name, value in _containers(title, specs, {}, now)]
    return lines + [(depth + 1, name, value) for depth, name, value in _volumes(spec)]


def _selector(obj: Any) -> str:
    from steersman import selectors

    selector = obj.spec.selector
    return str(selectors.of_message(selector) if hasattr(selector, "match_labels") else selectors.of_map(selector))


def _phases(pods: Sequence[Any]) -> str:
    counts = dict.fromkeys(("Running", "Pending", "Succeeded", "Failed"), 0)
    for pod in pods:
        counts[pod.status.phase] = counts.get(pod.status.phase, 0) + 1
    return " / ".join(f"{count} {name}" for name, count in counts.items())


def _workload(obj: Any, around: Around, now: datetime) -> list[Line]:
    kind = kinds.of(obj).kind
    status = obj.status
    lines: list[Line] = [(0, "Selector", _selector(obj) or "<none>")]
    if kind == "DaemonSet":
        lines.append((0, "Desired", f"{status.desired_number_scheduled} nodes, {status.number_ready} ready"))
    elif kind == "Deployment":
        text = f"{obj.spec.replicas} desired | {status.updated_replicas} updated | {status.replicas} total | "
        lines.append(
            (0, "Replicas", f"{text}{status.available_replicas} available | {status.unavailable_replicas} unavailable")
        )
        lines.append((0, "StrategyType", obj.spec.strategy.type))
        rolling = obj.spec.strategy.rolling_update
        if obj.spec.strategy.HasField("rolling_update"):
            fewer, more = number_or_share(rolling.max_unavailable), number_or_share(rolling.max_surge)
            lines.append((0, "RollingUpdate", f"{fewer} max unavailable, {more} max surge"))
        if obj.spec.paused:
            lines.append((0, "Paused", "yes"))
    else:
        lines.append((0, "Replicas", f"{status.replicas} current / {obj.spec.replicas} desired"))
    if kind != "Deployment":
        lines.append((0, "Pods Status", _phases(around.pods)))
    lines += _template(obj.spec.template, now)
    if around.owned:
        sets = sorted(around.owned, key=lambda rs: -_revision(rs))
        shown = [
            f"{rs.metadata.name} (revision {_revision(rs)}, {rs.status.replicas}/{rs.spec.replicas} pods)"
            for rs in sets
        ]
        lines.append((0, "NewReplicaSet", shown[0]))
        lines.append((0, "OldReplicaSets", "\n".join(shown[1:]) or "<none>"))
    return lines


def _revision(replica_set: Any) -> int:
    text = replica_set.metadata.annotations.get("deployment.kubernetes.io/revision", "0")
    return int(text) if text.isdigit() else 0


def _job(job: Any, around: Around, now: datetime) -> list[Line]:
    spec, status = job.spec, job.status
    return [
        (0, "Selector", _selector(job) or "<none>"),
        (0, "Parallelism", str(spec.parallelism)),
        (0, "Completions", str(spec.completions) if spec.HasField("completions") else "<unset>"),
        (0, "Suspend", str(bool(spec.suspend))),
        (0, "Start Time", _moment(status.start_time, now)),
        (0, "Completed At", _moment(status.completion_time, now)),
        (0, "Pods Statuses", f"{status.active} Active / {status.succeeded} Succeeded / {status.failed} Failed"),
        *_template(spec.template, now),
    ]


# --- services, nodes, namespaces, settings --------------------------------------------------------------------------


def _service(service: Any, around: Around, now: datetime) -> list[Line]:
    spec = service.spec
    lines: list[Line] = [
        (0, "Selector", _pairs(spec.selector).replace("\n", ",")),
        (0, "Type", spec.type),
        (0, "IP", ", ".join(spec.cluster_ips) or spec.cluster_ip or "<none>"),
    ]
    if spec.external_name:
        lines.append((0, "External Name", spec.external_name))
    given = [each.ip or each.hostname for each in service.status.load_balancer.ingress]
    if given:
        lines.append((0, "LoadBalancer Ingress", ", ".join(given)))
    for port in spec.ports:
        name = port.name or "<unset>"
        lines.append((0, "Port", f"{name}  {port.port}/{port.protocol}"))
        lines.append((0, "TargetPort", f"{number_or_share(port.target_port)}/{port.protocol}"))
        if port.node_port:
            lines.append((0, "NodePort", f"{name}  {port.node_port}/{port.protocol}"))
        lines.append((0, "Endpoints", _endpoints(around.endpoints, port.name)))
    lines.append((0, "Session Affinity", spec.session_affinity or "None"))
    return lines


def _endpoints(slices: Sequence[Any], name: str) -> str:
    found = []
    for each in slices:
        number = next((port.port for port in each.ports if port.name == name), 0)
        for endpoint in each.endpoints:
            if not endpoint.conditions.HasField("ready") or endpoint.conditions.ready:
                found += [f"{address}:{number}" for address in endpoint.addresses]
    more = f" + {len(found) - 3} more..." if len(found) > 3 else ""
    return ",".join(found[:3]) + more or "<none>"


def _node(node: Any, around: Around, now: datetime) -> list[Line]:
    info = node.status.node_info
    lines: list[Line] = [
        (
            0,
            "Taints",
            "\n".join(f"{t.key}={t.value}:{t.effect}".replace("=:", ":") for t in node.spec.taints) or "<none>",
        ),
        (0, "Unschedulable", str(bool(node.spec.unschedulable))),
        (0, "Addresses", ""),
        *[(1, each.type, each.address) for each in node.status.addresses],
    ]
    for title, values in (("Capacity", node.status.capacity), ("Allocatable", node.status.allocatable)):
        lines += [(0, title, ""), *[(1, key, value.value) for key, value in sorted(values.items())]]
    lines += [
        (0, "System Info", ""),
        (1, "Kernel Version", info.kernel_version),
        (1, "OS Image", info.os_image),
        (1, "Operating System", f"{info.operating_system}/{info.architecture}".strip("/")),
        (1, "Container Runtime Version", info.container_runtime_version),
        (1, "Kubelet Version", info.kubelet_version),
        (0, "PodCIDR", ", ".join(node.spec.pod_cidrs) or node.spec.pod_cidr or "<none>"),
    ]
    living = [pod for pod in around.pods if pod.status.phase not in ("Succeeded", "Failed")]
    lines.append((0, f"Non-terminated Pods ({len(living)})", ""))
    has = {key: parse(value.value) for key, value in node.status.allocatable.items()}
    rows = []
    for pod in sorted(living, key=lambda each: (each.metadata.namespace, each.metadata.name)):
        asked = pod_amounts(pod.spec, "requests")
        rows.append(
            [
                pod.metadata.namespace,
                pod.metadata.name,
                *[_of(name, asked.get(name), has.get(name)) for name in ("cpu", "memory")],
                cells.age(pod.metadata.creation_timestamp, now),
            ]
        )
    if rows:
        table = output.table(["NAMESPACE", "NAME", "CPU REQUESTS", "MEMORY REQUESTS", "AGE"], rows)
        lines += [(1, "", each) for each in table.split("\n")]
    return lines


def _of(name: str, asked: Any, has: Any) -> str:
    if not asked:
        return "0"
    share = f" ({int(100 * asked / has)}%)" if has else ""
    return f"{amount(name, asked)}{share}"


def _namespace(namespace: Any, around: Around, now: datetime) -> list[Line]:
    lines: list[Line] = [(0, "Status", namespace.status.phase)]
    if not around.quotas:
        lines.append((0, "Resource Quotas", "No resource quota."))
    for quota in around.quotas:
        lines += [(0, f"Resource Quota {quota.metadata.name}", "used of hard"), *_used(quota)]
    if not around.limits:
        lines.append((0, "Resource Limits", "No LimitRange resource."))
    for each in around.limits:
        lines.append((0, f"Resource Limits {each.metadata.name}", ""))
        for item in each.spec.limits:
            data = {key: value for key, value in codec.encode(item).items() if key != "type"}
            lines.append(
                (
                    1,
                    item.type,
                    "; ".join(f"{key} {_pairs(value).replace(chr(10), ', ')}" for key, value in data.items()),
                )
            )
    return lines


def _used(quota: Any) -> list[Line]:
    hard, used = quota.status.hard or quota.spec.hard, quota.status.used
    return [(1, key, f"{used[key].value if key in used else '?'} of {hard[key].value}") for key in sorted(hard)]


def _quota(quota: Any, around: Around, now: datetime) -> list[Line]:
    return [(0, "Used", ""), *_used(quota)]


def _config_map(obj: Any, around: Around, now: datetime) -> list[Line]:
    lines: list[Line] = [(0, "Data", "" if obj.data else "<none>")]
    for key, value in sorted(obj.data.items()):
        lines += [(1, key, value.rstrip("\n"))]
    if obj.binary_data:
        lines += [
            (0, "BinaryData", ""),
            *[(1, key, f"{len(value)} bytes") for key, value in sorted(obj.binary_data.items())],
        ]
    return lines


def _secret(obj: Any, around: Around, now: datetime) -> list[Line]:
    lines: list[Line] = [(0, "Type", obj.type), (0, "Data", "" if obj.data else "<none>")]
    return lines + [(1, key, f"{len(value)} bytes") for key, value in sorted(obj.data.items())]


def _claim(claim: Any, around: Around, now: datetime) -> list[Line]:
    users = [
        pod.metadata.name
        for pod in around.pods
        if any(v.volume_source.persistent_volume_claim.claim_name == claim.metadata.name for v in pod.spec.volumes)
    ]
    wanted = claim.spec.resources.requests
    return [
        (0, "StorageClass", claim.spec.storage_class_name or "<none>"),
        (0, "Status", claim.status.phase),
        (0, "Volume", claim.spec.volume_name or "<none>"),
        (0, "Wanted", wanted["storage"].value if "storage" in wanted else "<none>"),
        (0, "Capacity", claim.status.capacity["storage"].value if "storage" in claim.status.capacity else "<none>"),
        (0, "Access Modes", ", ".join(claim.status.access_modes or claim.spec.access_modes)),
        (0, "VolumeMode", claim.spec.volume_mode),
        (0, "Used By", ", ".join(users) or "<none>"),
    ]


_TELLERS: dict[str, Callable[[Any, Around, datetime], list[Line]]] = {
    "Pod": _pod,
    "Deployment": _workload,
    "ReplicaSet": _workload,
    "StatefulSet": _workload,
    "DaemonSet": _workload,
    "ReplicationController": _workload,
    "Job": _job,
    "Service": _service,
    "Node": _node,
    "Namespace": _namespace,
    "ResourceQuota": _quota,
    "ConfigMap": _config_map,
    "Secret": _secret,
    "PersistentVolumeClaim": _claim,
}


# --- any kind -------------------------------------------------------------------------------------------------------


def _as_manifest(obj: Any) -> list[str]:
    """Everything but the metadata, as a manifest has it."""
    data = codec.encode(obj)
    data.pop("metadata", None)
    return [_section(name, value) for name, value in data.items()]


def _section(name: str, value: Any) -> str:
    title = name[0].upper() + name[1:]
    if isinstance(value, (dict, list)):
        return f"{title}:\n" + _indented(files.yaml_of([value]).rstrip("\n"))
    return f"{title}: {value}"


def _conditions(obj: Any, now: datetime) -> list[str]:
    found = getattr(getattr(obj, "status", None), "conditions", ())
    if not found:
        return []
    rows = []
    for each in found:
        beat = getattr(each, "last_heartbeat_time", None)
        since = cells.age(each.last_transition_time, now) if each.last_transition_time.seconds else "?"
        heard = [cells.age(beat, now) if beat.seconds else "?"] if beat is not None else []
        rows.append([each.type, each.status, *heard, since, each.reason, each.message])
    has_beat = len(rows[0]) == 6
    headings = ["TYPE", "STATUS", *(["HEARTBEAT"] if has_beat else []), "SINCE", "REASON", "MESSAGE"]
    return ["Conditions:\n" + _indented(output.table(headings, rows))]


def _events(events: Sequence[Any], now: datetime) -> str:
    if not events:
        return "Events: <none>"
    rows = []
    for event in sorted(events, key=lambda e: (e.last_timestamp.seconds or e.event_time.seconds, e.metadata.name)):
        last = event.last_timestamp if event.last_timestamp.seconds else event.event_time
        age = cells.age(last if last.seconds else event.metadata.creation_timestamp, now)
        when = f"{age} (x{event.count} over {cells.age(event.first_timestamp, now)})" if event.count > 1 else age
        rows.append(
            [event.type, event.reason, when, event.source.component or event.reporting_component, event.message]
        )
    return "Events:\n" + _indented(output.table(["TYPE", "REASON", "AGE", "FROM", "MESSAGE"], rows))


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
