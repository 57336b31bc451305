"""What the files of a volume contain, decided from the pod and the objects it refers to; nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from steersman.core.v1.config_map_pb2 import ConfigMap
from steersman.core.v1.pod_pb2 import Pod
from steersman.core.v1.secret_pb2 import Secret
from steersman.core.v1.volume_pb2 import (
    DownwardAPIVolumeFile,
    KeyToPath,
    ServiceAccountTokenProjection,
    Volume,
    VolumeSource,
)

from nodeagent.pod import fields
from nodeagent.pod.errors import MissingKeyError, MissingObjectError, MissingTokenError, PodConfigError

DEFAULT_MODE = 0o644
TOKEN_SECONDS = 3600


@dataclass(frozen=True)
class Payload:
    """One file: its bytes and its permission bits."""

    content: bytes
    mode: int


@dataclass(frozen=True)
class VolumeSources:
    """Where volumes take their contents from.

    Attributes:
        config_map: the ConfigMap of a name in the pod's namespace, None when there is none.
        secret: the Secret likewise.
        token: a service account's token for an audience ("" the apiserver's) that is good for so many seconds.
        node: facts that the downward API may refer to.
    """

    config_map: Callable[[str], ConfigMap | None]
    secret: Callable[[str], Secret | None]
    token: Callable[[str, int], bytes | None]
    node: fields.NodeFacts


def source_of(volume: Volume) -> tuple[str, VolumeSource]:
    """The name of the field that says what kind of volume it is ("" when none is set), and the source.

    A volume without a source is an emptyDir, as in Kubernetes.
    """
    for descriptor, _ in volume.volume_source.ListFields():
        return descriptor.name, volume.volume_source
    return "empty_dir", volume.volume_source


def is_projection(kind: str) -> bool:
    """Whether this kind of volume is files that the agent writes and keeps up to date."""
    return kind in ("config_map", "secret", "downward_api", "projected")


def files_of(pod: Pod, volume: Volume, sources: VolumeSources) -> dict[str, Payload]:
    """The files of a projection by their relative path.

    Raises:
        PodConfigError: something that is not optional is missing, or a path leads out of the volume.
    """
    kind, source = source_of(volume)
    if kind == "config_map":
        spec = source.config_map
        mode = spec.default_mode if spec.HasField("default_mode") else DEFAULT_MODE
        files = _config_map(pod, spec.local_object_reference.name, spec.items, spec.optional, mode, sources)
    elif kind == "secret":
        secret = source.secret
        mode = secret.default_mode if secret.HasField("default_mode") else DEFAULT_MODE
        files = _secret(pod, secret.secret_name, secret.items, secret.optional, mode, sources)
    elif kind == "downward_api":
        downward = source.downward_api
        mode = downward.default_mode if downward.HasField("default_mode") else DEFAULT_MODE
        files = _downward(pod, downward.items, mode, sources)
    elif kind == "projected":
        projected = source.projected
        mode = projected.default_mode if projected.HasField("default_mode") else DEFAULT_MODE
        files = {}
        for part in projected.sources:
            if part.HasField("config_map"):
                each = part.config_map
                name = each.local_object_reference.name
                files |= _config_map(pod, name, each.items, each.optional, mode, sources)
            elif part.HasField("secret"):
                one = part.secret
                files |= _secret(pod, one.local_object_reference.name, one.items, one.optional, mode, sources)
            elif part.HasField("downward_api"):
                files |= _downward(pod, part.downward_api.items, mode, sources)
            elif part.HasField("service_account_token"):
                projection = part.service_account_token
                wanted = _token_wanted(projection)
                token = sources.token(wanted.audience, wanted.seconds)
                if token is None:
                    raise MissingTokenError(pod.spec.service_account_name)
                files[projection.path] = Payload(token, mode)
            else:
                raise PodConfigError(f"volume {volume.name!r} projects a source that this node does not support")
    else:
        raise PodConfigError(f"volume {volume.name!r} ({kind}) is not a projection")
    return {_checked(volume.name, path): payload for path, payload in files.items()}


def _checked(volume: str, path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
        raise PodConfigError(f"volume {volume!r}: path {path!r} must stay inside of the volume and not begin with '..'")
    return str(PurePosixPath(path))


def _config_map(
    pod: Pod, name: str, items: Iterable[KeyToPath], optional: bool, mode: int, sources: VolumeSources
) -> dict[str, Payload]:
    found = sources.config_map(name)
    if found is None:
        if optional:
            return {}
        raise MissingObjectError("configmap", pod.metadata.namespace, name)
    data = {key: value.encode() for key, value in found.data.items()} | dict(found.binary_data)
    return _selected("configmap", pod, name, data, list(items), optional, mode)


def _secret(
    pod: Pod, name: str, items: Iterable[KeyToPath], optional: bool, mode: int, sources: VolumeSources
) -> dict[str, Payload]:
    found = sources.secret(name)
    if found is None:
        if optional:
            return {}
        raise MissingObjectError("secret", pod.metadata.namespace, name)
    return _selected("secret", pod, name, dict(found.data), list(items), optional, mode)


def _selected(
    kind: str, pod: Pod, name: str, data: Mapping[str, bytes], items: list[KeyToPath], optional: bool, mode: int
) -> dict[str, Payload]:
    if not items:
        return {key: Payload(value, mode) for key, value in data.items()}
    files: dict[str, Payload] = {}
    for item in items:
        if item.key not in data:
            if optional:
                continue
            raise MissingKeyError(kind, pod.metadata.namespace, name, item.key)
        files[item.path] = Payload(data[item.key], item.mode if item.HasField("mode") else mode)
    return files


def _downward(
    pod: Pod, items: Iterable[DownwardAPIVolumeFile], mode: int, sources: VolumeSources
) -> dict[str, Payload]:
    files: dict[str, Payload] = {}
    for item in items:
        if item.HasField("field_ref"):
            text = fields.pod_field(pod, item.field_ref.field_path, sources.node)
        else:
            text = fields.resource_field(pod, None, item.resource_field_ref, sources.node)
        files[item.path] = Payload(text.encode(), item.mode if item.HasField("mode") else mode)
    return files


class TokenWanted(NamedTuple):
    """A token that a pod wants: for whom ("": the apiserver), and good for how many seconds."""

    audience: str
    seconds: int


def _token_wanted(projection: ServiceAccountTokenProjection) -> TokenWanted:
    seconds = projection.expiration_seconds if projection.HasField("expiration_seconds") else TOKEN_SECONDS
    return TokenWanted(projection.audience, seconds)


def tokens_of(pod: Pod) -> frozenset[TokenWanted]:
    """The tokens that the pod's volumes want."""
    parts = (part for volume in pod.spec.volumes for part in volume.volume_source.projected.sources)
    return frozenset(_token_wanted(p.service_account_token) for p in parts if p.HasField("service_account_token"))


def referenced(pod: Pod) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the ConfigMaps and of the Secrets that the pod refers to anywhere."""
    config_maps: set[str] = set()
    secrets: set[str] = {each.name for each in pod.spec.image_pull_secrets}
    for volume in pod.spec.volumes:
        source = volume.volume_source
        if source.HasField("config_map"):
            config_maps.add(source.config_map.local_object_reference.name)
        if source.HasField("secret"):
            secrets.add(source.secret.secret_name)
        for part in source.projected.sources:
            if part.HasField("config_map"):
                config_maps.add(part.config_map.local_object_reference.name)
            if part.HasField("secret"):
                secrets.add(part.secret.local_object_reference.name)
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        for each in container.env_from:
            if each.HasField("config_map_ref"):
                config_maps.add(each.config_map_ref.local_object_reference.name)
            if each.HasField("secret_ref"):
                secrets.add(each.secret_ref.local_object_reference.name)
        for variable in container.env:
            if variable.value_from.HasField("config_map_key_ref"):
                config_maps.add(variable.value_from.config_map_key_ref.local_object_reference.name)
            if variable.value_from.HasField("secret_key_ref"):
                secrets.add(variable.value_from.secret_key_ref.local_object_reference.name)
    return frozenset(config_maps - {""}), frozenset(secrets - {""})
