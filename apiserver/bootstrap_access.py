"""Wires what decides who may do what: tables that follow the caches, and the authorizers that read them."""

from __future__ import annotations

from collections.abc import Mapping

from steersman.core.v1.persistent_volume_pb2 import PersistentVolume
from steersman.storage.v1.volume_attachment_pb2 import VolumeAttachment

from apiserver.authz.authorizer import Authorizer
from apiserver.authz.graph import NodeGraph
from apiserver.authz.roles import RoleBook
from apiserver.registry import Registry
from apiserver.watchcache.watcher import Entry

CLUSTER_ROLES = "steersman.rbac.v1.ClusterRoles"
CLUSTER_ROLE_BINDINGS = "steersman.rbac.v1.ClusterRoleBindings"
_ROLES = ("steersman.rbac.v1.Roles", CLUSTER_ROLES)
_BINDINGS = ("steersman.rbac.v1.RoleBindings", CLUSTER_ROLE_BINDINGS)


def authorizer(registries: Mapping[str, Registry]) -> Authorizer:
    """The authorizers, on tables that follow the registries' caches; to be called before the caches run."""
    book, graph = RoleBook(), NodeGraph()

    def role(old: Entry | None, new: Entry | None) -> None:
        entry = _present(old, new)
        book.put_role(entry.namespace, entry.name, new.facts if new is not None else None)

    def binding(old: Entry | None, new: Entry | None) -> None:
        entry = _present(old, new)
        book.put_binding(entry.namespace, entry.name, new.facts if new is not None else None)

    def pod(old: Entry | None, new: Entry | None) -> None:
        entry = _present(old, new)
        before, after = old.facts if old is not None else None, new.facts if new is not None else None
        graph.pod_changed(entry.namespace, entry.name, before, after)

    def volume(old: Entry | None, new: Entry | None) -> None:
        entry = _present(old, new)
        claim = None
        if new is not None:
            reference = PersistentVolume.FromString(new.data).spec.claim_ref
            claim = (reference.namespace, reference.name) if reference.name else None
        graph.volume_changed(entry.name, claim)

    def attachment(old: Entry | None, new: Entry | None) -> None:
        entry = _present(old, new)
        node = VolumeAttachment.FromString(new.data).spec.node_name if new is not None else None
        graph.attachment_changed(entry.name, node)

    for service in _ROLES:
        registries[service].cache.observe(role)
    for service in _BINDINGS:
        registries[service].cache.observe(binding)
    registries["steersman.core.v1.Pods"].cache.observe(pod)
    registries["steersman.core.v1.PersistentVolumes"].cache.observe(volume)
    registries["steersman.storage.v1.VolumeAttachments"].cache.observe(attachment)
    return Authorizer(book, graph)


def _present(old: Entry | None, new: Entry | None) -> Entry:
    entry = new if new is not None else old
    assert entry is not None
    return entry
