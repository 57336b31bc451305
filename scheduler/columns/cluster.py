"""The cluster as the scheduler sees it: every event changes a row or two of the columns, nothing is ever rebuilt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from steersman.core.v1 import Node, Service
from steersman.quantity import QuantityError
from steersman.selectors import Requirement, Selector, of_map

from scheduler.columns.budgets import Budgets
from scheduler.columns.images import Images
from scheduler.columns.journal import Journal
from scheduler.columns.labels import Labels
from scheduler.columns.pods import Pods
from scheduler.columns.ports import Ports
from scheduler.columns.resources import Resources
from scheduler.columns.rows import INITIAL_CAPACITY, RowTable, grown
from scheduler.columns.storage import Storage
from scheduler.columns.taints import Taints, taints_of
from scheduler.pod import PodInfo, Template
from scheduler.requests import PODS, amount_of

LOG_ROWS_MIN = 1024
POD, NODE, NAMESPACE, SERVICE, OWNER = "pod", "node", "namespace", "service", "owner"


class Cluster:
    """Nodes, the pods on them, and what else decisions depend on."""

    def __init__(self) -> None:
        self.rows = RowTable()
        self.resources = Resources()
        self.labels = Labels()
        self.taints = Taints()
        self.images = Images()
        self.ports = Ports()
        self.pods = Pods()
        self.journal = Journal()
        """What was changed lately."""
        self.storage = Storage(self.journal)
        self.budgets = Budgets()
        self.unschedulable: NDArray[np.bool_] = np.zeros(INITIAL_CAPACITY, np.bool_)
        """Nodes that are cordoned, by row."""
        self.labels_version = 0
        """Grows whenever a label of a node that somebody asked for changes, and with every node."""
        self._messages: dict[str, Node] = {}
        self._homeless: dict[str, dict[str, PodInfo]] = {}
        self._services: dict[str, dict[str, Selector]] = {}
        self._owners: dict[tuple[str, str, str], Selector] = {}
        self._default_selectors: dict[Template, Selector | None] = {}

    @property
    def height(self) -> int:
        """Rows in use, free ones among them included."""
        return self.rows.height

    def node_name(self, row: int) -> str:
        """The name of the node of a row."""
        return self.rows.names[row]

    def set_node(self, node: Node) -> int:
        """Takes in a node, new or changed, and returns its row."""
        name = node.metadata.name
        row = self.rows.get(name)
        new = row is None
        if row is None:
            row, grow = self.rows.take(name)
            if grow:
                self._grow()
        labels = dict(node.metadata.labels)
        # Labels that nobody asked for yet make no difference now, but they may when somebody looks back.
        relabelled = new or self.labels.of_row[row] != labels
        changed = bool(self.labels.set(row, labels)) or new
        if changed:
            self.labels_version += 1
        changed |= self.taints.set(row, taints_of(node))
        changed |= self.images.set(row, ((n, image.size_bytes) for image in node.status.images for n in image.names))
        if self.unschedulable[row] != node.spec.unschedulable:
            self.unschedulable[row] = node.spec.unschedulable
            changed = True
        amounts, pods_max = allocatable_of(node)
        changed |= self.resources.set_node(row, amounts, pods_max)
        if changed:
            self._note_altered(row)
        if changed or relabelled:
            self.journal.note(NODE, name, self._messages.get(name), node)
        self._messages[name] = node
        if new:
            self.storage.set_row(row, name)
            for info in self._homeless.pop(name, {}).values():
                self._place(info, row)
        return row

    def remove_node(self, name: str) -> int | None:
        """Forgets a node and returns the row that it had; its pods are remembered, should it come back."""
        row = self.rows.get(name)
        if row is None:
            return None
        self.journal.note(NODE, name, self._messages.pop(name), None)
        for info in [*self.pods.on_row.get(row, {}).values()]:
            self._unplace(info.uid)
            self._homeless.setdefault(name, {})[info.uid] = info
        self.rows.release(name)
        self.labels.set(row, {})
        self.taints.set(row, ())
        self.images.set(row, ())
        self.unschedulable[row] = False
        self.resources.clear_node(row)
        self.storage.clear_row(row, name)
        self.labels_version += 1
        self._note_altered(row)
        return row

    def add_pod(self, info: PodInfo, node_name: str) -> int | None:
        """Counts a pod in at a node, and returns the row; None when the node is not known (yet)."""
        row = self.rows.get(node_name)
        self.journal.note(POD, info.uid, None, (info, node_name))
        if row is None:
            self._homeless.setdefault(node_name, {})[info.uid] = info
            return None
        self._place(info, row)
        return row

    def remove_pod(self, uid: str, node_name: str = "") -> int | None:
        """Counts a pod out, and returns the row on which it was; unknown ones are none's loss."""
        placed = self.pods.placed.get(uid)
        if placed is not None:
            self.journal.note(POD, uid, (placed.info, self.node_name(placed.row)), None)
            return self._unplace(uid)
        homeless = self._homeless.get(node_name)
        if homeless is not None:
            info = homeless.pop(uid, None)
            if info is not None:
                self.journal.note(POD, uid, (info, node_name), None)
            if not homeless:
                del self._homeless[node_name]
        return None

    def _place(self, info: PodInfo, row: int) -> None:
        template = info.template
        self.pods.add(info, row)
        self.resources.add(row, template.demand, template.priority, 1)
        if template.ports:
            self.ports.add(row, template.ports)
        if template.volumes is not None:
            self.storage.add(row, info.namespace, template.volumes)
        self.rows.touched.note(row)
        self.rows.touched.trim(max(LOG_ROWS_MIN, self.rows.height))

    def _unplace(self, uid: str) -> int:
        placed = self.pods.remove(uid)
        template = placed.info.template
        self.resources.add(placed.row, template.demand, template.priority, -1)
        if template.ports:
            self.ports.remove(placed.row, template.ports)
        if template.volumes is not None:
            self.storage.remove(placed.row, placed.info.namespace, template.volumes)
        self.rows.touched.note(placed.row)
        return placed.row

    def _grow(self) -> None:
        capacity = self.rows.capacity
        self.resources.grow(capacity)
        self.labels.grow(capacity)
        self.taints.grow(capacity)
        self.pods.grow(capacity)
        self.storage.grow(capacity)
        self.unschedulable = grown(self.unschedulable, capacity)

    def _note_altered(self, row: int) -> None:
        self.rows.altered.note(row)
        self.rows.altered.trim(max(LOG_ROWS_MIN, self.rows.height))

    @contextmanager
    def as_of(self, position: int) -> Iterator[None]:
        """The cluster as it was at a position of the journal, until the end of the block; not to be changed in it."""
        changes = self.journal.since(position)
        undone = 0
        with self.journal.paused():
            try:
                for change in reversed(changes):
                    self._turn(change.kind, change.key, change.after, change.before)
                    undone += 1
                yield
            finally:
                for change in changes[len(changes) - undone :]:
                    self._turn(change.kind, change.key, change.before, change.after)

    def _turn(self, kind: str, key: Any, present: Any, wanted: Any) -> None:
        """Makes something that is `present` what is `wanted`; None stands for its not being there."""
        if kind == POD:
            if present is not None:
                self.remove_pod(key, present[1])
            if wanted is not None:
                self.add_pod(*wanted)
        elif kind == NODE:
            if wanted is None:
                self.remove_node(key)
            else:
                self.set_node(wanted)
        elif kind == NAMESPACE:
            self.pods.set_namespace(key, wanted)
        elif kind == SERVICE:
            namespace, name = key
            self._set_service(namespace, name, wanted)
        elif kind == OWNER:
            owner, namespace, name = key
            self.set_owner(owner, namespace, name, wanted)
        else:
            self.storage.turn(kind, key, wanted)

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> bool:
        """Sets a namespace's labels (None: it is gone); whether that changed them."""
        before = self.pods.known_namespace(name)
        changed = self.pods.set_namespace(name, labels)
        if changed:
            self.journal.note(NAMESPACE, name, before, labels)
        return changed

    def set_service(self, service: Service, *, gone: bool = False) -> None:
        """Takes in a Service, for the pods that it selects are spread by default."""
        namespace, name = service.metadata.namespace, service.metadata.name
        selector = None if gone or not service.spec.selector else of_map(service.spec.selector)
        self.journal.note(SERVICE, (namespace, name), self._services.get(namespace, {}).get(name), selector)
        self._set_service(namespace, name, selector)

    def _set_service(self, namespace: str, name: str, selector: Selector | None) -> None:
        here = self._services.setdefault(namespace, {})
        if selector is None:
            here.pop(name, None)
        else:
            here[name] = selector
        self._default_selectors.clear()

    def set_owner(self, kind: str, namespace: str, name: str, selector: Selector | None) -> None:
        """Takes in the selector of a controller of pods (None: it is gone), for its pods are spread by default."""
        key = kind, namespace, name
        self.journal.note(OWNER, key, self._owners.get(key), selector)
        if selector is None:
            self._owners.pop(key, None)
        else:
            self._owners[key] = selector
        self._default_selectors.clear()

    def default_selector(self, template: Template) -> Selector | None:
        """Which pods belong together with one of this template, by its Services and its controller; None: none do."""
        template = template.kept
        if template in self._default_selectors:
            return self._default_selectors[template]
        requirements: dict[Requirement, None] = {}
        for selector in self._services.get(template.namespace, {}).values():
            if selector.matches(template.labels):
                requirements.update(dict.fromkeys(selector.requirements))
        kind, name = template.owner
        owner = self._owners.get((kind, template.namespace, name))
        if owner is not None:
            requirements.update(dict.fromkeys(owner.requirements))
        found = Selector(tuple(requirements)) if requirements else None
        if len(self._default_selectors) > 4096:
            self._default_selectors.clear()
        self._default_selectors[template] = found
        return found


def allocatable_of(node: Node) -> tuple[Mapping[str, int], int]:
    """What a node has for pods, in counting units, and how many pods it may have.

    An amount that is no quantity counts as nothing: the node is not used for what it does not say clearly.
    """
    amounts: dict[str, int] = {}
    pods_max = 0
    for resource, value in node.status.allocatable.items():
        try:
            amount = max(0, amount_of(resource, value.value))
        except QuantityError:
            continue
        if resource == PODS:
            pods_max = amount
        else:
            amounts[resource] = amount
    return amounts, pods_max
