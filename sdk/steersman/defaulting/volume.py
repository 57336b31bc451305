"""Defaults of claims and volumes."""

from __future__ import annotations

from typing import Any


def claim(obj: Any) -> None:
    """Fills in a PersistentVolumeClaim; what it is filled from stands in both of the fields for it."""
    spec = obj.spec
    if not spec.HasField("volume_mode"):
        spec.volume_mode = "Filesystem"
    if spec.HasField("data_source") and not spec.HasField("data_source_ref"):
        source = spec.data_source
        spec.data_source_ref.kind, spec.data_source_ref.name = source.kind, source.name
        if source.HasField("api_group"):
            spec.data_source_ref.api_group = source.api_group
    elif spec.HasField("data_source_ref") and not spec.HasField("data_source") and not spec.data_source_ref.namespace:
        reference = spec.data_source_ref
        spec.data_source.kind, spec.data_source.name = reference.kind, reference.name
        if reference.HasField("api_group"):
            spec.data_source.api_group = reference.api_group


def volume(obj: Any) -> None:
    """Fills in a PersistentVolume."""
    spec = obj.spec
    spec.persistent_volume_reclaim_policy = spec.persistent_volume_reclaim_policy or "Retain"
    if not spec.HasField("volume_mode"):
        spec.volume_mode = "Filesystem"
    source = spec.persistent_volume_source
    if source.HasField("host_path") and not source.host_path.HasField("type"):
        source.host_path.type = ""
    if source.HasField("iscsi"):
        source.iscsi.iscsi_interface = source.iscsi.iscsi_interface or "default"
    if source.HasField("rbd"):
        rbd = source.rbd
        rbd.pool, rbd.user = rbd.pool or "rbd", rbd.user or "admin"
        rbd.keyring = rbd.keyring or "/etc/ceph/keyring"
    if source.HasField("scale_io"):
        source.scale_io.storage_mode = source.scale_io.storage_mode or "ThinProvisioned"
        source.scale_io.fs_type = source.scale_io.fs_type or "xfs"
