"""Volumes as the scheduler sees them: what a pod wants, claims, volumes, classes, and a plan to bring them together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from steersman import quantity
from steersman.core.v1 import PersistentVolume, PersistentVolumeClaim, PersistentVolumeSource, Pod, VolumeSource
from steersman.quantity import QuantityError
from steersman.selectors import Requirement, Selector
from steersman.storage.v1 import StorageClass as StorageClassMessage

from scheduler.terms import NodeTerm, node_term, selector_of

ClaimKey = tuple[str, str]
"""Namespace and name of a claim."""

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
_CLASS = "volume.beta.kubernetes.io/storage-class"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
FILESYSTEM = "Filesystem"
READ_WRITE_ONCE_POD = "ReadWriteOncePod"

_GA_OF_BETA = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}
ZONE_KEYS = frozenset((*_GA_OF_BETA, *_GA_OF_BETA.values()))
_SEVERAL = "__"

# What became of kinds of volumes that were built in: (field, plugin's old name, driver, field with the volume's id).
_MIGRATED = (
    ("aws_elastic_block_store", "kubernetes.io/aws-ebs", "ebs.csi.aws.com", "volume_id"),
    ("gce_persistent_disk", "kubernetes.io/gce-pd", "pd.csi.storage.gke.io", "pd_name"),
    ("azure_disk", "kubernetes.io/azure-disk", "disk.csi.azure.com", "disk_uri"),
    ("cinder", "kubernetes.io/cinder", "cinder.csi.openstack.org", "volume_id"),
    ("vsphere_volume", "kubernetes.io/vsphere-volume", "csi.vsphere.vmware.com", "volume_path"),
)
_DRIVER_OF_PLUGIN = {plugin: driver for _, plugin, driver, _ in _MIGRATED}


class Device(NamedTuple):
    """A volume as its driver counts it.

    Attributes:
        driver: name of the CSI driver.
        plugin: name of the built-in plugin whose volumes the driver has taken over; empty: the driver's own.
        handle: the volume's id; equal ids of a driver are one volume.
    """

    driver: str
    plugin: str
    handle: str


class Disk(NamedTuple):
    """A disk that a pod names itself, and that only so many pods of a node may have.

    Attributes:
        identity: kind and id; equal ones are the same disk.
        read_only: the pod does not write.
        shareable: several pods may have it as long as none writes.
    """

    identity: tuple[str, ...]
    read_only: bool
    shareable: bool


class ClaimUse(NamedTuple):
    """A claim that a pod uses.

    Attributes:
        name: the claim's name.
        owner: uid of the pod that must own it; empty: anybody's.
    """

    name: str
    owner: str


@dataclass(frozen=True)
class PodVolumes:
    """What a pod asks for that limits where it may go.

    Attributes:
        claims: claims, each once.
        disks: disks that it names.
        devices: volumes that it names and a CSI driver counts.
    """

    claims: tuple[ClaimUse, ...]
    disks: tuple[Disk, ...]
    devices: tuple[Device, ...]


@dataclass(frozen=True)
class Claim:
    """A PersistentVolumeClaim.

    Attributes:
        key: namespace and name.
        uid: its uid.
        volume: name of the volume that it is bound to, or is to be; empty: none.
        bound: the binding is complete.
        class_name: its storage class; empty: none.
        modes: access modes that it needs.
        size: bytes that it needs at least.
        volume_mode: Filesystem or Block.
        selector: labels that a volume must have; None: any.
        attributes_class: its VolumeAttributesClass; empty: none.
        selected_node: node for which a volume is being made; empty: none.
        lost: its volume is gone.
        deleting: it is being deleted.
        owner: uid of its controller; empty: none.
    """

    key: ClaimKey
    uid: str
    volume: str = ""
    bound: bool = False
    class_name: str = ""
    modes: frozenset[str] = frozenset()
    size: int = 0
    volume_mode: str = FILESYSTEM
    selector: Selector | None = None
    attributes_class: str = ""
    selected_node: str = ""
    lost: bool = False
    deleting: bool = False
    owner: str = ""


@dataclass(frozen=True)
class Volume:
    """A PersistentVolume.

    Attributes:
        name: its name.
        claim: the claim that it belongs to; None: nobody's.
        claim_uid: the claim's uid; empty: any claim of that name.
        size: bytes.
        modes: access modes that it has.
        volume_mode: Filesystem or Block.
        class_name: its storage class; empty: none.
        attributes_class: its VolumeAttributesClass; empty: none.
        labels: its labels.
        terms: alternatives of which a node must match one; None: any node reaches it.
        zones: (label, values) that a node must have if it has labels of zones at all.
        available: nobody has it, and it is ready to be had.
        deleting: it is being deleted.
        device: how its driver counts it; None: nobody does.
    """

    name: str
    claim: ClaimKey | None = None
    claim_uid: str = ""
    size: int = 0
    modes: frozenset[str] = frozenset()
    volume_mode: str = FILESYSTEM
    class_name: str = ""
    attributes_class: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    terms: tuple[NodeTerm, ...] | None = None
    zones: tuple[tuple[str, frozenset[str]], ...] = ()
    available: bool = True
    deleting: bool = False
    device: Device | None = None

    def belongs_to(self, claim: Claim) -> bool:
        """Whether it is kept for a claim."""
        return self.claim == claim.key and self.claim_uid in ("", claim.uid)


@dataclass(frozen=True)
class StorageClass:
    """A StorageClass.

    Attributes:
        name: its name.
        provisioner: who makes volumes; empty or NO_PROVISIONER: nobody.
        delayed: claims wait for their first consumer.
        topologies: alternatives of labels where volumes can be made; empty: anywhere.
    """

    name: str
    provisioner: str = ""
    delayed: bool = False
    topologies: tuple[tuple[Requirement, ...], ...] = ()

    @property
    def provisions(self) -> bool:
        """Whether volumes are made on demand."""
        return self.provisioner not in ("", NO_PROVISIONER)


@dataclass(frozen=True)
class VolumePlan:
    """What must be so before a pod can be bound to a node.

    Attributes:
        node: name of the node.
        bindings: claims and the volumes that they get.
        provisions: claims for which volumes are to be made.
    """

    node: str
    bindings: tuple[tuple[Claim, Volume], ...]
    provisions: tuple[Claim, ...]


def volumes_of(pod: Pod) -> PodVolumes | None:
    """What a pod's volumes mean for its place; None: nothing."""
    claims: dict[ClaimUse, None] = {}
    disks: list[Disk] = []
    devices: list[Device] = []
    for volume in pod.spec.volumes:
        source = volume.volume_source
        if source.HasField("persistent_volume_claim"):
            claims[ClaimUse(source.persistent_volume_claim.claim_name, "")] = None
        elif source.HasField("ephemeral"):
            claims[ClaimUse(f"{pod.metadata.name}-{volume.name}", pod.metadata.uid)] = None
        else:
            disks += _disks_of(source)
            device = _migrated(source)
            if device is not None:
                devices.append(device)
    if not (claims or disks or devices):
        return None
    return PodVolumes(tuple(claims), tuple(disks), tuple(devices))


def _disks_of(source: VolumeSource) -> Iterator[Disk]:
    if source.HasField("gce_persistent_disk"):
        disk = source.gce_persistent_disk
        yield Disk(("gce", disk.pd_name), disk.read_only, shareable=True)
    elif source.HasField("aws_elastic_block_store"):
        yield Disk(("ebs", source.aws_elastic_block_store.volume_id), False, shareable=False)
    elif source.HasField("iscsi"):
        yield Disk(("iscsi", source.iscsi.iqn), source.iscsi.read_only, shareable=True)
    elif source.HasField("rbd"):
        # The same image seen through any monitor that both name is the same disk.
        for monitor in dict.fromkeys(source.rbd.monitors):
            yield Disk(("rbd", monitor, source.rbd.pool, source.rbd.image), source.rbd.read_only, shareable=True)


def _migrated(source: VolumeSource | PersistentVolumeSource) -> Device | None:
    for name, plugin, driver, handle in _MIGRATED:
        if source.HasField(name):
            return Device(driver, plugin, str(getattr(getattr(source, name), handle)))
    return None


def device_of_class(made: StorageClass, key: ClaimKey) -> Device | None:
    """How the volume that is still to be made for a claim will be counted."""
    if not made.provisions:
        return None
    driver = _DRIVER_OF_PLUGIN.get(made.provisioner)
    handle = "/".join(("to be made", *key))
    return Device(driver, made.provisioner, handle) if driver else Device(made.provisioner, "", handle)


def _bytes(text: str, otherwise: int) -> int:
    try:
        return quantity.whole(text)
    except QuantityError:
        return otherwise


# More than any volume has: a claim whose size makes no sense is met by none.
_IMPOSSIBLE_SIZE = 1 << 100


def claim_of(message: PersistentVolumeClaim) -> Claim:
    """A claim from its message."""
    metadata, spec = message.metadata, message.spec
    annotations = metadata.annotations
    owner = next((reference.uid for reference in metadata.owner_references if reference.controller), "")
    request = spec.resources.requests
    return Claim(
        key=(metadata.namespace, metadata.name),
        uid=metadata.uid,
        volume=spec.volume_name,
        bound=bool(spec.volume_name) and BIND_COMPLETED in annotations,
        class_name=annotations.get(_CLASS, spec.storage_class_name),
        modes=frozenset(spec.access_modes),
        size=_bytes(request["storage"].value, _IMPOSSIBLE_SIZE) if "storage" in request else 0,
        volume_mode=spec.volume_mode or FILESYSTEM,
        selector=selector_of(spec.selector, True) if spec.HasField("selector") else None,
        attributes_class=spec.volume_attributes_class_name,
        selected_node=annotations.get(SELECTED_NODE, ""),
        lost=message.status.phase == "Lost",
        deleting=metadata.HasField("deletion_timestamp"),
        owner=owner,
    )


def volume_of(message: PersistentVolume) -> Volume:
    """A volume from its message."""
    metadata, spec = message.metadata, message.spec
    terms: tuple[NodeTerm, ...] | None = None
    if spec.HasField("node_affinity") and spec.node_affinity.HasField("required"):
        found = map(node_term, spec.node_affinity.required.node_selector_terms)
        terms = tuple(term for term in found if term is not None)
    reference = spec.claim_ref
    source = spec.persistent_volume_source
    device = Device(source.csi.driver, "", source.csi.volume_handle) if source.HasField("csi") else _migrated(source)
    return Volume(
        name=metadata.name,
        claim=(reference.namespace, reference.name) if spec.HasField("claim_ref") else None,
        claim_uid=reference.uid,
        size=_bytes(spec.capacity["storage"].value, 0) if "storage" in spec.capacity else 0,
        modes=frozenset(spec.access_modes),
        volume_mode=spec.volume_mode or FILESYSTEM,
        class_name=metadata.annotations.get(_CLASS, spec.storage_class_name),
        attributes_class=spec.volume_attributes_class_name,
        labels=tuple(sorted(metadata.labels.items())),
        terms=terms,
        zones=zones_of(metadata.labels),
        available=message.status.phase == "Available",
        deleting=metadata.HasField("deletion_timestamp"),
        device=device,
    )


def zones_of(labels: Mapping[str, str]) -> tuple[tuple[str, frozenset[str]], ...]:
    """The labels that name zones and regions, with the values that each allows; senseless ones are left out."""
    found = []
    for key in sorted(ZONE_KEYS & labels.keys()):
        values = frozenset(value.strip() for value in labels[key].split(_SEVERAL))
        if "" not in values:
            found.append((key, values))
    return tuple(found)


def present_name(key: str) -> str:
    """What a label of zones with an old name is called now."""
    return _GA_OF_BETA.get(key, key)


def class_of(message: StorageClassMessage) -> StorageClass:
    """A storage class from its message."""
    return StorageClass(
        name=message.metadata.name,
        provisioner=message.provisioner,
        delayed=message.volume_binding_mode == "WaitForFirstConsumer",
        topologies=tuple(
            tuple(Requirement(one.key, "In", frozenset(one.values)) for one in term.match_label_expressions)
            for term in message.allowed_topologies
        ),
    )
