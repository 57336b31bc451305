"""Defaults of pods and pod templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from steersman.meta.v1.values_pb2 import IntOrString

_TAG = re.compile(r"(?:@[A-Za-z0-9]+:[0-9a-fA-F]+|:(?P<tag>[\w][\w.-]{0,127}))$")


def pod_spec(spec: Any) -> None:
    """Fills in a pod's spec."""
    spec.restart_policy = spec.restart_policy or "Always"
    spec.dns_policy = spec.dns_policy or "ClusterFirst"
    spec.scheduler_name = spec.scheduler_name or "default-scheduler"
    if not spec.HasField("termination_grace_period_seconds"):
        spec.termination_grace_period_seconds = 30
    if not spec.HasField("enable_service_links"):
        spec.enable_service_links = True
    spec.security_context.SetInParent()
    for container in every_container(spec):
        _container(container, host_network=spec.host_network)
    for volume in spec.volumes:
        _volume(volume.volume_source)
    for constraint in spec.topology_spread_constraints:
        if not constraint.HasField("node_affinity_policy"):
            constraint.node_affinity_policy = "Honor"
        if not constraint.HasField("node_taints_policy"):
            constraint.node_taints_policy = "Ignore"
    _requests_from_limits(spec)


def every_container(spec: Any) -> Iterator[Any]:
    """All containers of a pod: init containers, containers, ephemeral ones."""
    ephemeral = (c.ephemeral_container_common for c in spec.ephemeral_containers)
    return chain(spec.init_containers, spec.containers, ephemeral)


def pull_policy(image: str) -> str:
    """The pull policy of an image for which none is given: Always for `latest` or no tag."""
    match = _TAG.search(image.rpartition("/")[2])
    if match is None:
        return "Always"
    return "Always" if match["tag"] == "latest" else "IfNotPresent"


def _container(container: Any, *, host_network: bool) -> None:
    container.image_pull_policy = container.image_pull_policy or pull_policy(container.image)
    container.termination_message_path = container.termination_message_path or "/dev/termination-log"
    container.termination_message_policy = container.termination_message_policy or "File"
    for port in container.ports:
        port.protocol = port.protocol or "TCP"
        if host_network and not port.host_port:
            port.host_port = port.container_port
    for variable in container.env:
        if variable.HasField("value_from") and variable.value_from.HasField("field_ref"):
            reference = variable.value_from.field_ref
            reference.api_version = reference.api_version or "v1"
    for name in ("liveness_probe", "readiness_probe", "startup_probe"):
        if container.HasField(name):
            _probe(getattr(container, name))
    if container.HasField("lifecycle"):
        for name in ("post_start", "pre_stop"):
            if container.lifecycle.HasField(name):
                _http(getattr(container.lifecycle, name))


def _probe(probe: Any) -> None:
    probe.timeout_seconds = probe.timeout_seconds or 1
    probe.period_seconds = probe.period_seconds or 10
    probe.success_threshold = probe.success_threshold or 1
    probe.failure_threshold = probe.failure_threshold or 3
    _http(probe.handler)
    if probe.handler.HasField("grpc") and not probe.handler.grpc.HasField("service"):
        probe.handler.grpc.service = ""


def _http(handler: Any) -> None:
    if handler.HasField("http_get"):
        handler.http_get.path = handler.http_get.path or "/"
        handler.http_get.scheme = handler.http_get.scheme or "HTTP"


_MODE = 0o644


def _volume(source: Any) -> None:
    if not source.ListFields():
        source.empty_dir.SetInParent()
    for name in ("secret", "config_map", "downward_api", "projected"):
        if source.HasField(name):
            volume = getattr(source, name)
            if not volume.HasField("default_mode"):
                volume.default_mode = _MODE
    if source.HasField("host_path") and not source.host_path.HasField("type"):
        source.host_path.type = ""
    items = list(source.downward_api.items) if source.HasField("downward_api") else []
    for projection in source.projected.sources if source.HasField("projected") else ():
        if projection.HasField("downward_api"):
            items += projection.downward_api.items
        if projection.HasField("service_account_token"):
            token = projection.service_account_token
            if not token.HasField("expiration_seconds"):
                token.expiration_seconds = 3600
    for item in items:
        if item.HasField("field_ref"):
            item.field_ref.api_version = item.field_ref.api_version or "v1"


def _requests_from_limits(spec: Any) -> None:
    """A limit without a request is also the request."""
    for container in chain(spec.init_containers, spec.containers):
        if not container.HasField("resources"):
            container.resources.SetInParent()
        for name, limit in container.resources.limits.items():
            if name not in container.resources.requests:
                container.resources.requests[name].CopyFrom(limit)


def percentage(text: str) -> IntOrString:
    """A percentage as a value: "25%"."""
    return IntOrString(type=1, str_val=text)
