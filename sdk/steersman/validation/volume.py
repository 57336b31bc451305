"""Rules of PersistentVolumes."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from steersman.errors import FieldViolation
from steersman.validation import claim, names
from steersman.validation.meta import one_of
from steersman.validation.names import show, violation
from steersman.validation.scheduling import node_selector

RECLAIM_POLICIES = ("Retain", "Delete", "Recycle")
DRIVER_CHARACTERS_MAX = 63
LUN_MAX = 255

# What sources must say, by the source's field.
REQUIRED: dict[str, tuple[str, ...]] = {
    "gce_persistent_disk": ("pd_name",),
    "aws_elastic_block_store": ("volume_id",),
    "host_path": ("path",),
    "glusterfs": ("endpoints", "path"),
    "nfs": ("server", "path"),
    "rbd": ("monitors", "image"),
    "iscsi": ("target_portal", "iqn"),
    "cinder": ("volume_id",),
    "cephfs": ("monitors",),
    "flex_volume": ("driver",),
    "azure_file": ("secret_name", "share_name"),
    "vsphere_volume": ("volume_path",),
    "quobyte": ("registry", "volume"),
    "azure_disk": ("disk_name", "disk_uri"),
    "photon_persistent_disk": ("pd_id",),
    "portworx_volume": ("volume_id",),
    "scale_io": ("gateway", "system", "volume_name"),
    "local": ("path",),
    "csi": ("driver", "volume_handle"),
}


def volume(obj: Any) -> list[FieldViolation]:
    """What is wrong with a PersistentVolume."""
    return spec("spec", obj.spec)


def spec(field: str, wanted: Any) -> list[FieldViolation]:
    """What is wrong with a volume's spec, which stands at `field`."""
    found = claim.access_modes(f"{field}.accessModes", wanted.access_modes)
    if claim.STORAGE not in wanted.capacity:
        found += violation(f"{field}.capacity[{claim.STORAGE}]", "required")
    for name, amount in wanted.capacity.items():
        here = f"{field}.capacity[{name}]"
        if name != claim.STORAGE:
            found += violation(here, f"only {claim.STORAGE} can be told")
        found += claim.capacity(here, amount.value)
    source = wanted.persistent_volume_source
    found += _source(field, source)
    policy, here = wanted.persistent_volume_reclaim_policy, f"{field}.persistentVolumeReclaimPolicy"
    found += one_of(here, policy, RECLAIM_POLICIES)
    whole_node = source.HasField("host_path") and not PurePosixPath(source.host_path.path).parts[1:]
    if policy == "Recycle" and whole_node:
        found += violation(here, "may not be Recycle for the node's whole file system")
    if wanted.HasField("volume_mode"):
        found += one_of(f"{field}.volumeMode", wanted.volume_mode, claim.VOLUME_MODES)
    if wanted.storage_class_name:
        found += names.subdomain(f"{field}.storageClassName", wanted.storage_class_name)
    if wanted.HasField("volume_attributes_class_name"):
        found += names.subdomain(f"{field}.volumeAttributesClassName", wanted.volume_attributes_class_name)
    if wanted.HasField("node_affinity"):
        here = f"{field}.nodeAffinity.required"
        if wanted.node_affinity.HasField("required"):
            found += node_selector(here, wanted.node_affinity.required)
        else:
            found += violation(here, "required")
    elif source.HasField("local"):
        found += violation(f"{field}.nodeAffinity", "required: a local volume is on one node")
    return found


def _source(field: str, source: Any) -> list[FieldViolation]:
    given = [each for each, _ in source.ListFields()]
    if len(given) != 1:
        what = f"{', '.join(each.json_name for each in given)} are given" if given else "none is given"
        return violation(field, f"needs exactly one source, {what}")
    name, here = given[0].name, f"{field}.{given[0].json_name}"
    one = getattr(source, name)
    found: list[FieldViolation] = []
    for part in REQUIRED.get(name, ()):
        if not getattr(one, part):
            found += violation(f"{here}.{one.DESCRIPTOR.fields_by_name[part].json_name}", "required")
    if name in ("host_path", "local") and ".." in PurePosixPath(one.path).parts:
        found += violation(f"{here}.path", f"{show(one.path)} has '..' in it")
    if name == "nfs" and one.path and not one.path.startswith("/"):
        found += violation(f"{here}.path", f"{show(one.path)} does not begin with '/'")
    if name == "iscsi" and not 0 <= one.lun <= LUN_MAX:
        found += violation(f"{here}.lun", f"{one.lun} is not from 0 to {LUN_MAX}")
    if name == "csi":
        if one.driver:
            found += driver(f"{here}.driver", one.driver)
        found += _secrets(here, one)
    return found


def driver(field: str, name: str) -> list[FieldViolation]:
    """The name of a CSI driver."""
    if not name:
        return violation(field, "required")
    if len(name) > DRIVER_CHARACTERS_MAX:
        return violation(field, f"{show(name)} has {len(name)} characters, at most {DRIVER_CHARACTERS_MAX}")
    return names.subdomain(field, name.lower())


def _secrets(field: str, source: Any) -> list[FieldViolation]:
    """The secrets that a CSI driver gets are named with their namespace."""
    found: list[FieldViolation] = []
    for each, value in source.ListFields():
        if not each.name.endswith("_secret_ref"):
            continue
        for part in ("name", "namespace"):
            if not getattr(value, part):
                found += violation(f"{field}.{each.json_name}.{part}", "required")
    return found


# Of a CSI volume's source these may change: they say how and not where.
_EXPANSION = ("controller_expand_secret_ref", "node_expand_secret_ref")


def volume_update(new: Any, old: Any) -> list[FieldViolation]:
    """What of a PersistentVolume may not change the way it does."""
    found: list[FieldViolation] = []
    if _place(new) != _place(old):
        found += violation("spec", "where a volume is may not change")
    if new.spec.volume_mode != old.spec.volume_mode:
        found += violation("spec.volumeMode", "may not change")
    if old.spec.HasField("node_affinity") and new.spec.node_affinity != old.spec.node_affinity:
        found += violation("spec.nodeAffinity", "may not change once it is set")
    return found


def _place(obj: Any) -> Any:
    source = type(obj.spec.persistent_volume_source)()
    source.CopyFrom(obj.spec.persistent_volume_source)
    if source.HasField("csi"):
        for name in _EXPANSION:
            source.csi.ClearField(name)
    return source
