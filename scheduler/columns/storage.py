"""Claims, volumes and classes, which rows use them, and what is promised but not written yet.

Volumes of a driver are counted per row by their ids; which volume stands for a claim is looked up when the claim, its
volume or its class changes, so that a decision reads one number per row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from steersman.storage.v1 import CSINode

from scheduler.columns.journal import Journal
from scheduler.columns.rows import INITIAL_CAPACITY, grown
from scheduler.volumes import (
    READ_WRITE_ONCE_POD,
    Claim,
    ClaimKey,
    Device,
    Disk,
    PodVolumes,
    StorageClass,
    Volume,
    VolumePlan,
    device_of_class,
)

Counts = NDArray[np.int32]
DriverKey = tuple[str, str]
"""Driver, and the built-in plugin whose volumes it has taken over (empty: its own)."""

MIGRATED_PLUGINS = "storage.alpha.kubernetes.io/migrated-plugins"
NO_LIMIT = -1
CLAIM, VOLUME, CLASS, DRIVERS, ATTACHMENT = "claim", "volume", "class", "drivers", "attachment"
PROMISE, SENT = "promise", "sent to"


@dataclass(frozen=True)
class NodeDrivers:
    """What a node says of its CSI drivers.

    Attributes:
        limits: driver and the number of volumes that it takes; drivers without a limit are left out.
        migrated: built-in plugins whose volumes drivers have taken over there.
    """

    limits: tuple[tuple[str, int], ...] = ()
    migrated: frozenset[str] = frozenset()


def drivers_of(node: CSINode) -> NodeDrivers:
    """What a CSINode says."""
    listed = node.metadata.annotations.get(MIGRATED_PLUGINS, "")
    return NodeDrivers(
        tuple(
            (driver.name, driver.allocatable.count)
            for driver in node.spec.drivers
            if driver.HasField("allocatable") and driver.allocatable.HasField("count")
        ),
        frozenset(name for name in listed.split(",") if name),
    )


@dataclass
class Attached:
    """The volumes of a driver.

    Attributes:
        number: how many different ones are on each row.
        users: by volume and row, how many use it.
    """

    number: Counts
    users: dict[str, dict[int, int]] = field(default_factory=dict)

    def add(self, handle: str, row: int, sign: int) -> None:
        """Counts so many uses of a volume in, or out."""
        rows = self.users.setdefault(handle, {})
        before = rows.get(row, 0)
        after = before + sign
        if after > 0:
            rows[row] = after
        else:
            rows.pop(row, None)
            if not rows:
                del self.users[handle]
        self.number[row] += (after > 0) - (before > 0)


class Storage:
    """See the module."""

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal or Journal()
        self.claims: dict[ClaimKey, Claim] = {}
        self.volumes: dict[str, Volume] = {}
        self.classes: dict[str, StorageClass] = {}
        self._of_class: dict[str, dict[str, Volume]] = {}
        self._claims_on: dict[str, set[ClaimKey]] = {}
        self._users: dict[ClaimKey, dict[int, int]] = {}
        self._counted_as: dict[ClaimKey, Device] = {}
        self._disks: dict[tuple[str, ...], dict[int, list[int]]] = {}
        self._attached: dict[DriverKey, Attached] = {}
        self._limits: dict[str, Counts] = {}
        self._migrated: dict[str, NDArray[np.bool_]] = {}
        self._nodes: dict[str, NodeDrivers] = {}
        self._rows: dict[str, int] = {}
        self._attachments: dict[str, tuple[str, str]] = {}
        self._attachment_counted: dict[str, tuple[Device, int]] = {}
        self._attachments_of: dict[str, set[str]] = {}
        self._promised: dict[str, ClaimKey] = {}
        self._sent_to: dict[ClaimKey, str] = {}
        self._capacity = INITIAL_CAPACITY

    # Rows.

    def grow(self, capacity: int) -> None:
        """Makes room for so many rows."""
        self._capacity = capacity
        for attached in self._attached.values():
            attached.number = grown(attached.number, capacity)
        for driver, limits in self._limits.items():
            wider = np.full(capacity, NO_LIMIT, np.int32)
            wider[: len(limits)] = limits
            self._limits[driver] = wider
        self._migrated = {plugin: grown(there, capacity) for plugin, there in self._migrated.items()}

    def set_row(self, row: int, name: str) -> None:
        """A node has a row now."""
        self._rows[name] = row
        self._write_drivers(row, self._nodes.get(name, NodeDrivers()))
        self._recount_attachments(name)

    def clear_row(self, row: int, name: str) -> None:
        """A node has no row any more; its pods were removed before."""
        self._rows.pop(name, None)
        self._write_drivers(row, NodeDrivers())
        self._recount_attachments(name)

    def set_node(self, name: str, drivers: NodeDrivers | None) -> bool:
        """Takes in what a node says of its drivers (None: it says nothing any more); whether that changed anything."""
        before = self._nodes.get(name)
        if before == drivers:
            return False
        self._journal.note(DRIVERS, name, before, drivers)
        if drivers is None:
            del self._nodes[name]
        else:
            self._nodes[name] = drivers
        row = self._rows.get(name)
        if row is not None:
            self._write_drivers(row, drivers or NodeDrivers())
        return True

    def _write_drivers(self, row: int, drivers: NodeDrivers) -> None:
        for limits in self._limits.values():
            limits[row] = NO_LIMIT
        for there in self._migrated.values():
            there[row] = False
        for driver, limit in drivers.limits:
            column = self._limits.get(driver)
            if column is None:
                column = self._limits[driver] = np.full(self._capacity, NO_LIMIT, np.int32)
            column[row] = limit
        for plugin in drivers.migrated:
            flags = self._migrated.get(plugin)
            if flags is None:
                flags = self._migrated[plugin] = np.zeros(self._capacity, np.bool_)
            flags[row] = True

    def limits(self, driver: str) -> Counts | None:
        """How many volumes of a driver each row takes, NO_LIMIT: any number; None: no row has a limit."""
        return self._limits.get(driver)

    def migrated(self, plugin: str) -> NDArray[np.bool_] | None:
        """On which rows a driver has taken over the volumes of a built-in plugin; None: on no row."""
        return self._migrated.get(plugin)

    def attached(self, key: DriverKey) -> Attached | None:
        """The volumes of a driver; None: there are none."""
        return self._attached.get(key)

    def keys_of(self, driver: str) -> Iterator[DriverKey]:
        """The keys under which volumes of a driver are counted."""
        for key in self._attached:
            if key[0] == driver:
                yield key

    # What there is.

    def set_claim(self, key: ClaimKey, claim: Claim | None) -> bool:
        """Takes in a claim (None: it is gone); whether that changed anything."""
        before = self.claims.get(key)
        if before == claim:
            return False
        self._journal.note(CLAIM, key, before, claim)
        if before is not None and before.volume:
            on = self._claims_on[before.volume]
            on.discard(key)
            if not on:
                del self._claims_on[before.volume]
        if claim is None:
            del self.claims[key]
            self._send(key, "")
        else:
            self.claims[key] = claim
            if claim.volume:
                self._claims_on.setdefault(claim.volume, set()).add(key)
            if claim.selected_node or claim.bound:
                self._send(key, "")
        self._look_up(key)
        return True

    def set_volume(self, name: str, volume: Volume | None) -> bool:
        """Takes in a volume (None: it is gone); whether that changed anything."""
        before = self.volumes.get(name)
        if before == volume:
            return False
        self._journal.note(VOLUME, name, before, volume)
        if before is not None:
            self._of_class[before.class_name].pop(name)
        if volume is None:
            del self.volumes[name]
            self._give(name, None)
        else:
            self.volumes[name] = volume
            self._of_class.setdefault(volume.class_name, {})[name] = volume
            if volume.claim is not None:
                self._give(name, None)
        for key in self._claims_on.get(name, ()):
            self._look_up(key)
        for attachment in self._attachments_of.get(name, ()):
            self._recount_attachment(attachment)
        return True

    def set_class(self, name: str, made: StorageClass | None) -> bool:
        """Takes in a storage class (None: it is gone); whether that changed anything."""
        before = self.classes.get(name)
        if before == made:
            return False
        self._journal.note(CLASS, name, before, made)
        if made is None:
            del self.classes[name]
        else:
            self.classes[name] = made
        for key in [*self._users]:
            claim = self.claims.get(key)
            if claim is not None and claim.class_name == name:
                self._look_up(key)
        return True

    def set_attachment(self, name: str, node: str, volume: str) -> None:
        """Takes in what is attached where, by the name of the attachment; without a volume it is gone."""
        before = self._attachments.pop(name, None)
        self._journal.note(ATTACHMENT, name, before, (node, volume) if volume else None)
        if before is not None:
            others = self._attachments_of[before[1]]
            others.discard(name)
            if not others:
                del self._attachments_of[before[1]]
        if volume:
            self._attachments[name] = node, volume
            self._attachments_of.setdefault(volume, set()).add(name)
        self._recount_attachment(name)

    def _recount_attachments(self, node: str) -> None:
        for name, (where, _) in [*self._attachments.items()]:
            if where == node:
                self._recount_attachment(name)

    def _recount_attachment(self, name: str) -> None:
        counted = self._attachment_counted.pop(name, None)
        if counted is not None:
            self._count(counted[0], counted[1], -1)
        node, volume = self._attachments.get(name, ("", ""))
        row = self._rows.get(node)
        known = self.volumes.get(volume)
        if row is not None and known is not None and known.device is not None:
            self._attachment_counted[name] = known.device, row
            self._count(known.device, row, 1)

    # Who uses it.

    def add(self, row: int, namespace: str, volumes: PodVolumes) -> None:
        """Counts a pod's volumes in."""
        self._use(row, namespace, volumes, 1)

    def remove(self, row: int, namespace: str, volumes: PodVolumes) -> None:
        """Counts a pod's volumes out."""
        self._use(row, namespace, volumes, -1)

    def _use(self, row: int, namespace: str, volumes: PodVolumes, sign: int) -> None:
        for use in volumes.claims:
            key = namespace, use.name
            rows = self._users.get(key)
            if rows is None:
                rows = self._users[key] = {}
                self._look_up(key)
            device = self._counted_as.get(key)
            if device is not None:
                self._count(device, row, sign)
            rows[row] = rows.get(row, 0) + sign
            if not rows[row]:
                del rows[row]
            if not rows:
                del self._users[key]
                self._counted_as.pop(key, None)
        for device in volumes.devices:
            self._count(device, row, sign)
        for disk in volumes.disks:
            self._use_disk(row, disk, sign)

    def _use_disk(self, row: int, disk: Disk, sign: int) -> None:
        rows = self._disks.setdefault(disk.identity, {})
        numbers = rows.setdefault(row, [0, 0])
        numbers[0] += sign
        numbers[1] += sign * (not disk.read_only)
        if not numbers[0]:
            del rows[row]
        if not rows:
            del self._disks[disk.identity]

    def _count(self, device: Device, row: int, sign: int) -> None:
        key = device.driver, device.plugin
        attached = self._attached.get(key)
        if attached is None:
            attached = self._attached[key] = Attached(np.zeros(self._capacity, np.int32))
        attached.add(device.handle, row, sign)

    def device(self, key: ClaimKey) -> Device | None:
        """How the volume of a claim is counted, or will be; None: it is not counted."""
        claim = self.claims.get(key)
        if claim is None:
            return None
        volume = self.volumes.get(claim.volume) if claim.volume else None
        if volume is not None:
            return volume.device
        made = self.classes.get(claim.class_name)
        return device_of_class(made, key) if made is not None else None

    def _look_up(self, key: ClaimKey) -> None:
        """Counts the users of a claim under the volume that stands for it now."""
        rows = self._users.get(key)
        if rows is None:
            return
        before, after = self._counted_as.pop(key, None), self.device(key)
        if after is not None:
            self._counted_as[key] = after
        if before == after:
            return
        for row, number in rows.items():
            if before is not None:
                self._count(before, row, -number)
            if after is not None:
                self._count(after, row, number)

    def users(self, key: ClaimKey) -> int:
        """How many pods with a node use a claim."""
        return sum(self._users.get(key, {}).values())

    def in_conflict(self, disks: Iterable[Disk]) -> set[int]:
        """The rows where somebody has one of the disks in a way that leaves it to nobody else."""
        found: set[int] = set()
        for disk in disks:
            for row, (_, writers) in self._disks.get(disk.identity, {}).items():
                if writers or not disk.read_only or not disk.shareable:
                    found.add(row)
        return found

    def taken(self, namespace: str, volumes: PodVolumes) -> bool:
        """Whether another pod has a claim of which there may be one user only."""
        for use in volumes.claims:
            claim = self.claims.get((namespace, use.name))
            if claim is not None and READ_WRITE_ONCE_POD in claim.modes and self._users.get(claim.key):
                return True
        return False

    # What was decided and is not written yet.

    def promise(self, plan: VolumePlan) -> None:
        """Reckons with a plan's being carried out."""
        for claim, volume in plan.bindings:
            self._give(volume.name, claim.key)
        for claim in plan.provisions:
            self._send(claim.key, plan.node)

    def retract(self, plan: VolumePlan) -> None:
        """Does not reckon with a plan any more: it failed, or it is seen to have been carried out."""
        for claim, volume in plan.bindings:
            if self._promised.get(volume.name) == claim.key:
                self._give(volume.name, None)
        for claim in plan.provisions:
            if self._sent_to.get(claim.key) == plan.node:
                self._send(claim.key, "")

    def _give(self, volume: str, key: ClaimKey | None) -> None:
        before = self._promised.pop(volume, None)
        if key is not None:
            self._promised[volume] = key
        if before != key:
            self._journal.note(PROMISE, volume, before, key)

    def _send(self, key: ClaimKey, node: str) -> None:
        before = self._sent_to.pop(key, "")
        if node:
            self._sent_to[key] = node
        if before != node:
            self._journal.note(SENT, key, before, node)

    def turn(self, kind: str, key: Any, wanted: Any) -> None:
        """Makes something what it is wanted to be; None stands for its not being there."""
        if kind == PROMISE:
            self._give(key, wanted)
        elif kind == SENT:
            self._send(key, wanted)
        elif kind == ATTACHMENT:
            self.set_attachment(key, *(wanted or ("", "")))
        else:
            setters: dict[str, Callable[[Any, Any], bool]] = {
                CLAIM: self.set_claim,
                VOLUME: self.set_volume,
                CLASS: self.set_class,
                DRIVERS: self.set_node,
            }
            setters[kind](key, wanted)

    def selected_node(self, claim: Claim) -> str:
        """The node for which a claim's volume is, or will be, made; empty: none yet."""
        return claim.selected_node or self._sent_to.get(claim.key, "")

    def candidates(self, claim: Claim) -> list[Volume]:
        """The volumes that a claim could get, the best first: those kept for it alone, or the smallest of the others.

        Where volumes are kept for the claim, no others come into question.
        """
        kept: list[Volume] = []
        free: list[Volume] = []
        for volume in self._of_class.get(claim.class_name, {}).values():
            if (
                volume.size < claim.size
                or volume.deleting
                or volume.volume_mode != claim.volume_mode
                or volume.attributes_class != claim.attributes_class
            ):
                continue
            promised = self._promised.get(volume.name)
            if promised is not None or volume.claim is not None:
                if promised == claim.key or volume.belongs_to(claim):
                    kept.append(volume)
            elif (
                volume.available
                and claim.modes <= volume.modes
                and (claim.selector is None or claim.selector.matches(dict(volume.labels)))
            ):
                free.append(volume)
        chosen = kept or free
        chosen.sort(key=lambda volume: (volume.size, volume.name))
        return chosen
