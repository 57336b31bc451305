"""Rules of containers."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

from steersman import quantity
from steersman.errors import FieldViolation
from steersman.validation import names
from steersman.validation.meta import not_negative, one_of
from steersman.validation.names import violation

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_ENV = re.compile(r"[^=\0]+")


def containers(field: str, spec: Any, volumes: set[str]) -> list[FieldViolation]:
    """What is wrong with the containers of a pod's spec."""
    found: list[FieldViolation] = []
    if not spec.containers:
        found += violation(f"{field}.containers", "required: at least one container")
    seen: set[str] = set()
    host_ports: set[tuple[str, str, int]] = set()
    groups = (("initContainers", spec.init_containers), ("containers", spec.containers))
    for group, members in groups:
        for index, container in enumerate(members):
            here = f"{field}.{group}[{index}]"
            found += names.label_1123(f"{here}.name", container.name)
            if container.name in seen:
                found += violation(f"{here}.name", f"{container.name!r} names two containers")
            seen.add(container.name)
            found += _container(here, container, volumes, host_ports)
            if group == "initContainers":
                found += _init(here, container)
    for index, one in enumerate(spec.ephemeral_containers):
        here = f"{field}.ephemeralContainers[{index}]"
        common = one.ephemeral_container_common
        if common.name in seen:
            found += violation(f"{here}.name", f"{common.name!r} names two containers")
        seen.add(common.name)
        found += _container(here, common, volumes, host_ports)
    return found


def _init(field: str, container: Any) -> list[FieldViolation]:
    sidecar = container.HasField("restart_policy") and container.restart_policy == "Always"
    found: list[FieldViolation] = []
    for name, shown in (
        ("liveness_probe", "livenessProbe"),
        ("readiness_probe", "readinessProbe"),
        ("startup_probe", "startupProbe"),
        ("lifecycle", "lifecycle"),
    ):
        if container.HasField(name) and not sidecar:
            found += violation(f"{field}.{shown}", "only for init containers whose restartPolicy is Always")
    return found


def _container(
    field: str, container: Any, volumes: set[str], host_ports: set[tuple[str, str, int]]
) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    if not container.image:
        found += violation(f"{field}.image", "required")
    elif container.image != container.image.strip():
        found += violation(f"{field}.image", "has white space around it")
    found += one_of(f"{field}.imagePullPolicy", container.image_pull_policy, PULL_POLICIES)
    found += one_of(
        f"{field}.terminationMessagePolicy", container.termination_message_policy, ("File", "FallbackToLogsOnError")
    )
    found += _ports(f"{field}.ports", container.ports, host_ports)
    found += _environment(field, container)
    found += _resources(f"{field}.resources", container.resources)
    found += _mounts(f"{field}.volumeMounts", container.volume_mounts, volumes)
    for name, shown in (
        ("liveness_probe", "livenessProbe"),
        ("readiness_probe", "readinessProbe"),
        ("startup_probe", "startupProbe"),
    ):
        if container.HasField(name):
            found += _probe(f"{field}.{shown}", getattr(container, name))
            if name != "readiness_probe" and getattr(container, name).success_threshold != 1:
                found += violation(f"{field}.{shown}.successThreshold", "must be 1")
    if container.HasField("lifecycle"):
        for name, shown in (("post_start", "postStart"), ("pre_stop", "preStop")):
            if container.lifecycle.HasField(name):
                found += _handler(f"{field}.lifecycle.{shown}", getattr(container.lifecycle, name))
    return found


def _ports(field: str, ports: Any, host_ports: set[tuple[str, str, int]]) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        here = f"{field}[{index}]"
        if port.name:
            found += names.port_name(f"{here}.name", port.name)
            if port.name in seen:
                found += violation(f"{here}.name", f"{port.name!r} names two ports")
            seen.add(port.name)
        found += names.port_number(f"{here}.containerPort", port.container_port)
        found += one_of(f"{here}.protocol", port.protocol, ("TCP", "UDP", "SCTP"))
        if port.host_port:
            found += names.port_number(f"{here}.hostPort", port.host_port)
            taken = (port.host_ip, port.protocol, port.host_port)
            if taken in host_ports:
                found += violation(f"{here}.hostPort", f"{port.protocol} {port.host_port} stands twice in the pod")
            host_ports.add(taken)
    return found


def _environment(field: str, container: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    for index, variable in enumerate(container.env):
        here = f"{field}.env[{index}]"
        if not _ENV.fullmatch(variable.name):
            found += violation(f"{here}.name", f"{names.show(variable.name)} is not the name of a variable")
        if variable.HasField("value_from"):
            sources = [f.json_name for f, _ in variable.value_from.ListFields()]
            if variable.value:
                found += violation(f"{here}.valueFrom", "not allowed where value is given")
            if len(sources) != 1:
                found += violation(f"{here}.valueFrom", f"needs exactly one source, {len(sources)} are given")
    for index, source in enumerate(container.env_from):
        kinds = [n for n in ("config_map_ref", "secret_ref") if source.HasField(n)]
        if len(kinds) != 1:
            found += violation(f"{field}.envFrom[{index}]", f"needs exactly one source, {len(kinds)} are given")
    return found


def _resources(field: str, resources: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    values: dict[str, dict[str, Any]] = {"limits": {}, "requests": {}}
    for part, parsed in values.items():
        for name, amount in getattr(resources, part).items():
            here = f"{field}.{part}[{name}]"
            found += names.label_key(here, name)
            try:
                parsed[name] = quantity.parse(amount.value)
            except ValueError as error:
                found += violation(here, str(error))
                continue
            if parsed[name] < 0:
                found += violation(here, f"{amount.value} is negative")
    for name, request in values["requests"].items():
        limit = values["limits"].get(name)
        if limit is not None and request > limit:
            shown = f"{resources.requests[name].value} is more than the limit {resources.limits[name].value}"
            found += violation(f"{field}.requests[{name}]", shown)
    return found


def _mounts(field: str, mounts: Any, volumes: set[str]) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        here = f"{field}[{index}]"
        if mount.name not in volumes:
            found += violation(f"{here}.name", f"the pod has no volume {mount.name!r}")
        if not mount.mount_path:
            found += violation(f"{here}.mountPath", "required")
        elif mount.mount_path in seen:
            found += violation(f"{here}.mountPath", f"{mount.mount_path!r} is mounted twice")
        seen.add(mount.mount_path)
        for shown, path in (("subPath", mount.sub_path), ("subPathExpr", mount.sub_path_expr)):
            parts = PurePosixPath(path)
            if path and (parts.is_absolute() or ".." in parts.parts):
                found += violation(f"{here}.{shown}", f"{names.show(path)} is not a relative path without '..'")
        if mount.sub_path and mount.sub_path_expr:
            found += violation(f"{here}.subPathExpr", "not allowed where subPath is given")
    return found


def _probe(field: str, probe: Any) -> list[FieldViolation]:
    found = _handler(field, probe.handler)
    found += not_negative(f"{field}.initialDelaySeconds", probe.initial_delay_seconds)
    for shown, value in (
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ):
        if value < 1:
            found += violation(f"{field}.{shown}", f"{value} is less than 1")
    return found


def _handler(field: str, handler: Any) -> list[FieldViolation]:
    given = [f.json_name for f, _ in handler.ListFields()]
    if len(given) != 1:
        what = f"{', '.join(given)} are given" if given else "none is given"
        return violation(field, f"needs exactly one action, {what}")
    found: list[FieldViolation] = []
    for name, shown in (("http_get", "httpGet"), ("tcp_socket", "tcpSocket")):
        if handler.HasField(name):
            port = getattr(handler, name).port
            if port.type == 1:
                found += names.port_name(f"{field}.{shown}.port", port.str_val)
            else:
                found += names.port_number(f"{field}.{shown}.port", port.int_val)
    if handler.HasField("exec") and not list(chain(handler.exec.command)):
        found += violation(f"{field}.exec.command", "required")
    if "grpc" in given:
        found += names.port_number(f"{field}.grpc.port", handler.grpc.port)
    return found
