"""Defaults of storage classes and CSI drivers."""

from __future__ import annotations

from typing import Any


def storage_class(obj: Any) -> None:
    """Fills in a StorageClass."""
    if not obj.HasField("reclaim_policy"):
        obj.reclaim_policy = "Delete"
    if not obj.HasField("volume_binding_mode"):
        obj.volume_binding_mode = "Immediate"


def csi_driver(obj: Any) -> None:
    """Fills in a CSIDriver."""
    spec = obj.spec
    if not spec.HasField("attach_required"):
        spec.attach_required = True
    for name in ("pod_info_on_mount", "storage_capacity", "requires_republish", "se_linux_mount"):
        if not spec.HasField(name):
            setattr(spec, name, False)
    if not spec.HasField("fs_group_policy"):
        spec.fs_group_policy = "ReadWriteOnceWithFSType"
    if not spec.volume_lifecycle_modes:
        spec.volume_lifecycle_modes.append("Persistent")
