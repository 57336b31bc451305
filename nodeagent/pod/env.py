"""The environment of a container: services, envFrom, env, references, $(VAR) expansion."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from steersman.core.v1.config_map_pb2 import ConfigMap
from steersman.core.v1.container_pb2 import Container, EnvFromSource, EnvVar
from steersman.core.v1.pod_pb2 import Pod
from steersman.core.v1.secret_pb2 import Secret
from steersman.core.v1.service_pb2 import Service

from nodeagent.pod import fields
from nodeagent.pod.errors import MissingKeyError, MissingObjectError, PodConfigError

# A name as the kubelet passes it on; what does not fit is left out with an event.
_NAME = re.compile(r"^[^=\0]+$")
_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")


@dataclass(frozen=True)
class Sources:
    """Where references lead.

    Attributes:
        config_map: the ConfigMap of a name in the pod's namespace, None when there is none.
        secret: the Secret likewise.
        services: services that the pod learns of through variables.
        node: facts about node and pod that fields may refer to.
    """

    config_map: Callable[[str], ConfigMap | None]
    secret: Callable[[str], Secret | None]
    services: Sequence[Service]
    node: fields.NodeFacts


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replaces $(NAME) by its value; an unknown name stays as written and $$ is a dollar sign."""

    def replace(match: re.Match[str]) -> str:
        if match.group(0) == "$$":
            return "$"
        return values.get(match.group(1), match.group(0))

    return _REFERENCE.sub(replace, text)


def service_variables(services: Iterable[Service], namespace: str, *, links: bool) -> dict[str, str]:
    """Variables that name the cluster's services: those of the pod's namespace, and always default/kubernetes.

    Args:
        services: all services that are known.
        namespace: the pod's.
        links: the pod's enableServiceLinks.
    """
    result: dict[str, str] = {}
    chosen: dict[str, Service] = {}
    for service in services:
        if service.spec.cluster_ip in ("", "None"):
            continue
        name = service.metadata.name
        master = service.metadata.namespace == "default" and name == "kubernetes"
        if service.metadata.namespace == namespace and (links or master):
            chosen[name] = service
        elif master:
            chosen.setdefault(name, service)
    for name in sorted(chosen):
        service = chosen[name]
        if not service.spec.ports:
            continue
        prefix = name.upper().replace("-", "_")
        address = service.spec.cluster_ip
        bracketed = f"[{address}]" if ":" in address else address
        first = service.spec.ports[0]
        result[f"{prefix}_SERVICE_HOST"] = address
        result[f"{prefix}_SERVICE_PORT"] = str(first.port)
        for port in service.spec.ports:
            if port.name:
                result[f"{prefix}_SERVICE_PORT_{port.name.upper().replace('-', '_')}"] = str(port.port)
        for index, port in enumerate(service.spec.ports):
            protocol = port.protocol or "TCP"
            url = f"{protocol.lower()}://{bracketed}:{port.port}"
            if index == 0:
                result[f"{prefix}_PORT"] = url
            stem = f"{prefix}_PORT_{port.port}_{protocol.upper()}"
            result[stem] = url
            result[f"{stem}_PROTO"] = protocol.lower()
            result[f"{stem}_PORT"] = str(port.port)
            result[f"{stem}_ADDR"] = address
    return result


def environment(pod: Pod, container: Container, sources: Sources) -> dict[str, str]:
    """All variables of a container, in the order that they are set.

    Raises:
        PodConfigError: a reference leads nowhere and is not optional; the container must wait.
    """
    links = pod.spec.enable_service_links if pod.spec.HasField("enable_service_links") else True
    services = service_variables(sources.services, pod.metadata.namespace, links=links)
    # Variables of services come last in precedence, but references may name them.
    result: dict[str, str] = {}
    for source in container.env_from:
        for name, value in _bulk(source, pod, sources):
            if _NAME.match(source.prefix + name):
                result[source.prefix + name] = value
    for variable in container.env:
        known = {**services, **result}
        found = _value(pod, container, variable, sources)
        if found is not None:
            result[variable.name] = found if variable.HasField("value_from") else expand(found, known)
    return {**{name: value for name, value in services.items() if name not in result}, **result}


def _bulk(source: EnvFromSource, pod: Pod, sources: Sources) -> list[tuple[str, str]]:
    if source.HasField("config_map_ref"):
        reference = source.config_map_ref
        name = reference.local_object_reference.name
        config_map = sources.config_map(name)
        if config_map is None:
            if reference.optional:
                return []
            raise MissingObjectError("configmap", pod.metadata.namespace, name)
        return sorted(config_map.data.items())
    if source.HasField("secret_ref"):
        reference_to_secret = source.secret_ref
        name = reference_to_secret.local_object_reference.name
        secret = sources.secret(name)
        if secret is None:
            if reference_to_secret.optional:
                return []
            raise MissingObjectError("secret", pod.metadata.namespace, name)
        return [(key, value.decode(errors="surrogateescape")) for key, value in sorted(secret.data.items())]
    return []


def _value(pod: Pod, container: Container, variable: EnvVar, sources: Sources) -> str | None:
    """The variable's value before expansion; None when an optional reference leads nowhere."""
    if not variable.HasField("value_from"):
        return variable.value
    origin = variable.value_from
    if origin.HasField("field_ref"):
        return fields.pod_field(pod, origin.field_ref.field_path, sources.node)
    if origin.HasField("resource_field_ref"):
        return fields.resource_field(pod, container, origin.resource_field_ref, sources.node)
    if origin.HasField("config_map_key_ref"):
        selector = origin.config_map_key_ref
        name = selector.local_object_reference.name
        config_map = sources.config_map(name)
        if config_map is None:
            if selector.optional:
                return None
            raise MissingObjectError("configmap", pod.metadata.namespace, name)
        if selector.key not in config_map.data:
            if selector.optional:
                return None
            raise MissingKeyError("configmap", pod.metadata.namespace, name, selector.key)
        return config_map.data[selector.key]
    if origin.HasField("secret_key_ref"):
        secret_selector = origin.secret_key_ref
        name = secret_selector.local_object_reference.name
        secret = sources.secret(name)
        if secret is None:
            if secret_selector.optional:
                return None
            raise MissingObjectError("secret", pod.metadata.namespace, name)
        if secret_selector.key not in secret.data:
            if secret_selector.optional:
                return None
            raise MissingKeyError("secret", pod.metadata.namespace, name, secret_selector.key)
        return secret.data[secret_selector.key].decode(errors="surrogateescape")
    raise PodConfigError(f"env {variable.name!r} of container {container.name!r} names a source that is not supported")
