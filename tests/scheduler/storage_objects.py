"""Claims, volumes, classes and what nodes say of drivers, made in one line."""

from __future__ import annotations

from typing import Any

from steersman.core.v1 import PersistentVolume, PersistentVolumeClaim
from steersman.manifests import codec
from steersman.storage.v1 import CSINode, StorageClass, VolumeAttachment

from scheduler.volumes import BIND_COMPLETED, SELECTED_NODE

HOSTNAME = "kubernetes.io/hostname"


def storage_class(
    name: str,
    *,
    provisioner: str = "kubernetes.io/no-provisioner",
    delayed: bool = True,
    topologies: list[list[dict[str, Any]]] | None = None,
) -> StorageClass:
    return codec.decode(
        StorageClass,
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": provisioner,
            "volumeBindingMode": "WaitForFirstConsumer" if delayed else "Immediate",
            "allowedTopologies": [{"matchLabelExpressions": term} for term in topologies or []],
        },
    )


def claim(
    name: str,
    *,
    namespace: str = "default",
    storage: str = "wait",
    size: str = "1Gi",
    modes: list[str] | None = None,
    volume: str = "",
    bound: bool | None = None,
    node: str = "",
    owner: str = "",
    phase: str = "",
    mode: str = "Filesystem",
    selector: dict[str, Any] | None = None,
) -> PersistentVolumeClaim:
    annotations = {}
    if bound if bound is not None else bool(volume):
        annotations[BIND_COMPLETED] = "yes"
    if node:
        annotations[SELECTED_NODE] = node
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{namespace}-{name}",
        "annotations": annotations,
    }
    if owner:
        metadata["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "Pod", "name": "owner", "uid": owner, "controller": True}
        ]
    spec: dict[str, Any] = {
        "storageClassName": storage,
        "accessModes": modes or ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
        "volumeName": volume,
        "volumeMode": mode,
    }
    if selector is not None:
        spec["selector"] = selector
    return codec.decode(
        PersistentVolumeClaim,
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata,
            "spec": spec,
            "status": {"phase": phase or ("Bound" if volume else "Pending")},
        },
    )


def volume(
    name: str,
    *,
    storage: str = "wait",
    size: str = "1Gi",
    modes: list[str] | None = None,
    terms: list[dict[str, Any]] | None = None,
    on: list[str] | None = None,
    of: str = "",
    labels: dict[str, str] | None = None,
    driver: str = "",
    handle: str = "",
    mode: str = "Filesystem",
    phase: str = "",
    source: dict[str, Any] | None = None,
    uid_of_claim: str | None = None,
) -> PersistentVolume:
    spec: dict[str, Any] = {
        "capacity": {"storage": size},
        "accessModes": modes or ["ReadWriteOnce"],
        "storageClassName": storage,
        "volumeMode": mode,
    }
    if on is not None:
        terms = [{"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": on}]}]
    if terms is not None:
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
    if of:
        namespace, _, claimed = of.rpartition("/")
        uid = f"uid-{namespace or 'default'}-{claimed}" if uid_of_claim is None else uid_of_claim
        spec["claimRef"] = {"namespace": namespace or "default", "name": claimed, "uid": uid}
    if driver:
        spec["csi"] = {"driver": driver, "volumeHandle": handle or name}
    elif source:
        spec.update(source)
    else:
        spec["local"] = {"path": f"/mnt/{name}"}
    return codec.decode(
        PersistentVolume,
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name, "labels": labels or {}},
            "spec": spec,
            "status": {"phase": phase or ("Bound" if of else "Available")},
        },
    )


def drivers(node: str, limits: dict[str, int | None], migrated: str = "") -> CSINode:
    made = codec.decode(
        CSINode,
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSINode",
            "metadata": {"name": node},
            "spec": {
                "drivers": [
                    {"name": name, "nodeID": node, **({"allocatable": {"count": limit}} if limit is not None else {})}
                    for name, limit in limits.items()
                ]
            },
        },
    )
    if migrated:
        made.metadata.annotations["storage.alpha.kubernetes.io/migrated-plugins"] = migrated
    return made


def attachment(name: str, node: str, volume_name: str) -> VolumeAttachment:
    return codec.decode(
        VolumeAttachment,
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "VolumeAttachment",
            "metadata": {"name": name},
            "spec": {"attacher": "driver", "nodeName": node, "source": {"persistentVolumeName": volume_name}},
        },
    )


def using(*claims: str) -> list[dict[str, Any]]:
    """Volumes of a pod that uses these claims."""
    return [{"name": f"v{number}", "persistentVolumeClaim": {"claimName": name}} for number, name in enumerate(claims)]
