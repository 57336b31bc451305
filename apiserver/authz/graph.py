"""Which node needs which objects: what the pods that are bound to it refer to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CONFIG_MAP, SECRET, CLAIM, ACCOUNT = "configmaps", "secrets", "persistentvolumeclaims", "serviceaccounts"

Reference = tuple[str, str]
"""Plural of a kind, and name, in the pod's namespace."""


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What authorization knows of a pod.

    Attributes:
        uid: its identity.
        node: the node that it is bound to; empty: none.
        account: its service account.
        needs: what it refers to.
    """

    uid: str
    node: str
    account: str
    needs: frozenset[Reference]


def facts_of(pod: Any) -> PodFacts:
    """What authorization needs to know of a pod; pods that have ended need nothing."""
    ended = pod.status.phase in ("Succeeded", "Failed")
    needs = frozenset(_needs(pod.spec)) if pod.spec.node_name and not ended else frozenset()
    account = pod.spec.service_account_name
    return PodFacts(pod.metadata.uid, pod.spec.node_name, account, needs)


def _needs(spec: Any) -> Iterator[Reference]:
    if spec.service_account_name:
        yield ACCOUNT, spec.service_account_name
    for each in spec.image_pull_secrets:
        yield SECRET, each.name
    for volume in spec.volumes:
        yield from _of_volume(volume)
    for container in (*spec.init_containers, *spec.containers):
        yield from _of_container(container)
    for ephemeral in spec.ephemeral_containers:
        yield from _of_container(getattr(ephemeral, "ephemeral_container_common", ephemeral))


def _of_volume(volume: Any) -> Iterator[Reference]:
    source = volume.volume_source
    for descriptor, value in source.ListFields():
        if descriptor.name == "config_map":
            yield CONFIG_MAP, value.local_object_reference.name
        elif descriptor.name == "secret":
            yield SECRET, value.secret_name
        elif descriptor.name == "persistent_volume_claim":
            yield CLAIM, value.claim_name
        elif descriptor.name == "projected":
            for part in value.sources:
                if part.HasField("config_map"):
                    yield CONFIG_MAP, part.config_map.local_object_reference.name
                if part.HasField("secret"):
                    yield SECRET, part.secret.local_object_reference.name
        elif descriptor.message_type is not None:
            # Volumes of foreign storage name the Secret with their credentials.
            for name in ("secret_ref", "node_publish_secret_ref"):
                if name in descriptor.message_type.fields_by_name and value.HasField(name):
                    yield SECRET, getattr(value, name).name
            if "secret_name" in descriptor.message_type.fields_by_name:
                yield SECRET, value.secret_name


def _of_container(container: Any) -> Iterator[Reference]:
    for each in container.env_from:
        if each.HasField("config_map_ref"):
            yield CONFIG_MAP, each.config_map_ref.local_object_reference.name
        if each.HasField("secret_ref"):
            yield SECRET, each.secret_ref.local_object_reference.name
    for variable in container.env:
        source = variable.value_from
        if source.HasField("config_map_key_ref"):
            yield CONFIG_MAP, source.config_map_key_ref.local_object_reference.name
        if source.HasField("secret_key_ref"):
            yield SECRET, source.secret_key_ref.local_object_reference.name


class NodeGraph:
    """Fed with every change of a pod, a volume and an attachment; answers without waiting."""

    def __init__(self) -> None:
        self._needs: dict[str, Counter[tuple[str, str, str]]] = {}
        self._nodes: dict[tuple[str, str], str] = {}
        self._claims: dict[str, tuple[str, str]] = {}
        self._attachments: dict[str, str] = {}

    def pod_changed(self, namespace: str, name: str, old: PodFacts | None, new: PodFacts | None) -> None:
        """Notes what a pod needs on which node."""
        if new is None:
            self._nodes.pop((namespace, name), None)
        elif new.node:
            self._nodes[(namespace, name)] = new.node
        if old is not None and new is not None and (old.node, old.needs) == (new.node, new.needs):
            return
        if old is not None and old.needs:
            counter = self._needs[old.node]
            for kind, needed in old.needs:
                counter[(kind, namespace, needed)] -= 1
                if not counter[(kind, namespace, needed)]:
                    del counter[(kind, namespace, needed)]
            if not counter:
                del self._needs[old.node]
        if new is not None and new.needs:
            self._needs.setdefault(new.node, Counter()).update((kind, namespace, needed) for kind, needed in new.needs)

    def volume_changed(self, name: str, claim: tuple[str, str] | None) -> None:
        """Notes which claim (namespace, name) a PersistentVolume is bound to; None: to none."""
        if claim is None:
            self._claims.pop(name, None)
        else:
            self._claims[name] = claim

    def attachment_changed(self, name: str, node: str | None) -> None:
        """Notes to which node a VolumeAttachment attaches; None: it is gone."""
        if node is None:
            self._attachments.pop(name, None)
        else:
            self._attachments[name] = node

    def runs(self, node: str, namespace: str, name: str) -> bool:
        """Whether a pod is bound to a node, or is not there at all: a node may learn that one of its pods is gone."""
        return self._nodes.get((namespace, name), node) == node

    def needs(self, node: str, kind: str, namespace: str, name: str) -> bool:
        """Whether a pod on a node refers to an object."""
        if kind == "persistentvolumes":
            claim = self._claims.get(name)
            return claim is not None and self.needs(node, CLAIM, *claim)
        if kind == "volumeattachments":
            return self._attachments.get(name) == node
        counter = self._needs.get(node)
        return counter is not None and (kind, namespace, name) in counter
