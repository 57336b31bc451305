"""The volume plugins once more, one node at a time, straight from the messages; for the tests only."""

from __future__ import annotations

from dataclasses import dataclass, field

from steersman import quantity
from steersman.core.v1 import Node, PersistentVolume, PersistentVolumeClaim, Pod
from steersman.storage.v1 import CSINode, StorageClass

from scheduler.volumes import BIND_COMPLETED, SELECTED_NODE
from tests.scheduler.reference import World, requirement_holds, selected

PRESENT = {
    "topology.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region": "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}


@dataclass
class StoredWorld(World):
    """A world with storage."""

    claims: list[PersistentVolumeClaim] = field(default_factory=list)
    volumes: list[PersistentVolume] = field(default_factory=list)
    classes: list[StorageClass] = field(default_factory=list)
    drivers: list[CSINode] = field(default_factory=list)

    def claim(self, namespace: str, name: str) -> PersistentVolumeClaim | None:
        return next((c for c in self.claims if (c.metadata.namespace, c.metadata.name) == (namespace, name)), None)

    def volume(self, name: str) -> PersistentVolume | None:
        return next((v for v in self.volumes if v.metadata.name == name), None)

    def storage_class(self, name: str) -> StorageClass | None:
        return next((c for c in self.classes if c.metadata.name == name), None)


def claims_of(pod: Pod) -> list[str]:
    names = [v.volume_source.persistent_volume_claim.claim_name for v in pod.spec.volumes]
    return list(dict.fromkeys(name for name in names if name))


def reaches(volume: PersistentVolume, node: Node) -> bool:
    if not volume.spec.node_affinity.HasField("required"):
        return True
    labels = dict(node.metadata.labels)
    return any(
        term.match_expressions
        and all(requirement_holds(labels, e.key, e.operator, list(e.values)) for e in term.match_expressions)
        for term in volume.spec.node_affinity.required.node_selector_terms
    )


def size_of(amounts: object) -> int:
    return quantity.whole(amounts["storage"].value)  # type: ignore[index]


def restrictions(pod: Pod, node: Node, world: StoredWorld) -> str:
    for name in claims_of(pod):
        claim = world.claim(pod.metadata.namespace, name)
        if claim is not None and "ReadWriteOncePod" in claim.spec.access_modes:
            for other in world.pods:
                here = world.node_of(other) is not None and other.metadata.namespace == pod.metadata.namespace
                if here and name in claims_of(other):
                    return (
                        "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
                    )
    for mine in pod.spec.volumes:
        for other in world.on(node):
            if any(conflict(mine.volume_source, theirs.volume_source) for theirs in other.spec.volumes):
                return "node(s) had no available disk"
    return ""


def conflict(one: object, other: object) -> bool:
    def both(kind: str) -> bool:
        return bool(one.HasField(kind) and other.HasField(kind))  # type: ignore[attr-defined]

    def writing(kind: str) -> bool:
        return not (getattr(one, kind).read_only and getattr(other, kind).read_only)

    if both("gce_persistent_disk"):
        same = one.gce_persistent_disk.pd_name == other.gce_persistent_disk.pd_name  # type: ignore[attr-defined]
        return same and writing("gce_persistent_disk")
    if both("aws_elastic_block_store"):
        return bool(
            one.aws_elastic_block_store.volume_id == other.aws_elastic_block_store.volume_id  # type: ignore[attr-defined]
        )
    if both("iscsi"):
        return one.iscsi.iqn == other.iscsi.iqn and writing("iscsi")  # type: ignore[attr-defined]
    if both("rbd"):
        mine, theirs = one.rbd, other.rbd  # type: ignore[attr-defined]
        return (
            bool(set(mine.monitors) & set(theirs.monitors))
            and (mine.pool, mine.image) == (theirs.pool, theirs.image)
            and writing("rbd")
        )
    return False


def handles(pod: Pod, world: StoredWorld) -> set[tuple[str, str]]:
    """(driver, handle) of the CSI volumes of a pod."""
    found = set()
    for name in claims_of(pod):
        claim = world.claim(pod.metadata.namespace, name)
        if claim is None:
            continue
        volume = world.volume(claim.spec.volume_name)
        if volume is not None:
            csi = volume.spec.persistent_volume_source.csi
            if csi.driver:
                found.add((csi.driver, csi.volume_handle))
            continue
        made = world.storage_class(claim.spec.storage_class_name)
        if made is not None and made.provisioner not in ("", "kubernetes.io/no-provisioner"):
            found.add((made.provisioner, f"{pod.metadata.namespace}/{name}"))
    return found


def limits(pod: Pod, node: Node, world: StoredWorld) -> str:
    wanted = handles(pod, world)
    there = set().union(*(handles(other, world) for other in world.on(node)))
    for said in world.drivers:
        if said.metadata.name != node.metadata.name:
            continue
        for driver in said.spec.drivers:
            if not driver.allocatable.HasField("count"):
                continue
            mine = {handle for name, handle in wanted if name == driver.name}
            theirs = {handle for name, handle in there if name == driver.name}
            if mine - theirs and len(mine | theirs) > driver.allocatable.count:
                return "node(s) exceed max volume count"
    return ""


def zone(pod: Pod, node: Node, world: StoredWorld) -> str:
    labels = dict(node.metadata.labels)
    if not PRESENT.keys() & labels.keys():
        return ""
    for name in claims_of(pod):
        claim = world.claim(pod.metadata.namespace, name)
        volume = world.volume(claim.spec.volume_name) if claim is not None else None
        if volume is None:
            continue
        for key, value in volume.metadata.labels.items():
            if key in PRESENT and labels.get(key, labels.get(PRESENT[key])) not in value.split("__"):
                return "node(s) had no available volume zone"
    return ""


NO_VOLUME = "node(s) didn't find available persistent volumes to bind"


def binding(pod: Pod, node: Node, world: StoredWorld) -> str:
    namespace = pod.metadata.namespace
    bound, open_claims = [], []
    immediate = False
    for name in claims_of(pod):
        claim = world.claim(namespace, name)
        if claim is None:
            return f'persistentvolumeclaim "{name}" not found'
        if claim.status.phase == "Lost":
            return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{claim.spec.volume_name}"'
        if claim.spec.volume_name and BIND_COMPLETED in claim.metadata.annotations:
            bound.append(claim.spec.volume_name)
            continue
        if claim.spec.volume_name or not claim.spec.storage_class_name:
            immediate = True
            continue
        made = world.storage_class(claim.spec.storage_class_name)
        if made is None:
            return f'storageclass.storage.k8s.io "{claim.spec.storage_class_name}" not found'
        if made.volume_binding_mode != "WaitForFirstConsumer":
            immediate = True
        else:
            open_claims.append(claim)
    if immediate:
        return "pod has unbound immediate PersistentVolumeClaims"
    if any(world.volume(name) is None for name in bound):
        return "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
    found = [world.volume(name) for name in bound]
    wrong = (
        ""
        if all(one and reaches(one, node) for one in found)
        else "node(s) didn't match PersistentVolume's node affinity"
    )
    return " and ".join(text for text in (wrong, had(open_claims, node, world)) if text)


def had(open_claims: list[PersistentVolumeClaim], node: Node, world: StoredWorld) -> str:
    taken: set[str] = set()
    waiting = [claim for claim in open_claims if SELECTED_NODE not in claim.metadata.annotations]
    for claim in open_claims:
        if claim not in waiting and (
            claim.metadata.annotations[SELECTED_NODE] != node.metadata.name or not can_make(claim, node, world)
        ):
            return NO_VOLUME
    for claim in sorted(waiting, key=lambda one: size_of(one.spec.resources.requests)):
        found = match(claim, node, world, taken)
        if found is not None:
            taken.add(found)
        elif not can_make(claim, node, world):
            return NO_VOLUME
    return ""


def can_make(claim: PersistentVolumeClaim, node: Node, world: StoredWorld) -> bool:
    made = world.storage_class(claim.spec.storage_class_name)
    if made is None or made.provisioner in ("", "kubernetes.io/no-provisioner"):
        return False
    labels = dict(node.metadata.labels)
    terms = [term.match_label_expressions for term in made.allowed_topologies]
    return not terms or any(term and all(labels.get(e.key) in e.values for e in term) for term in terms)


def match(claim: PersistentVolumeClaim, node: Node, world: StoredWorld, taken: set[str]) -> str | None:
    best: tuple[int, str] | None = None
    for volume in sorted(world.volumes, key=lambda one: (size_of(one.spec.capacity), one.metadata.name)):
        spec, name = volume.spec, volume.metadata.name
        if (
            spec.storage_class_name != claim.spec.storage_class_name
            or spec.volume_mode != claim.spec.volume_mode
            or size_of(spec.capacity) < size_of(claim.spec.resources.requests)
            or name in taken
        ):
            continue
        if spec.HasField("claim_ref"):
            reference = spec.claim_ref
            if (reference.namespace, reference.name) == (claim.metadata.namespace, claim.metadata.name) and (
                reference.uid in ("", claim.metadata.uid)
            ):
                return name if reaches(volume, node) else None
            continue
        if (
            volume.status.phase == "Available"
            and set(claim.spec.access_modes) <= set(spec.access_modes)
            and reaches(volume, node)
            and (not claim.spec.HasField("selector") or selected(claim.spec.selector, dict(volume.metadata.labels)))
        ):
            candidate = size_of(spec.capacity), name
            best = candidate if best is None or candidate < best else best
    return best[1] if best else None


FILTERS = {
    "VolumeRestrictions": restrictions,
    "NodeVolumeLimits": limits,
    "VolumeBinding": binding,
    "VolumeZone": zone,
}
