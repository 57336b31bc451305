"""Taints of nodes. Nodes with the same taints share a number, so that tolerations are judged once for all of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from steersman.core.v1 import Node

from scheduler.columns.rows import INITIAL_CAPACITY, grown

NO_SCHEDULE, PREFER_NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "PreferNoSchedule", "NoExecute"

# What the node lifecycle controller makes of a node's conditions; here it holds at once, without waiting for it.
_IMPLIED = {
    ("Ready", "False"): "node.kubernetes.io/not-ready",
    ("Ready", "Unknown"): "node.kubernetes.io/unreachable",
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
}


class Taint(NamedTuple):
    """One taint."""

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        return f"{{{self.key}: {self.value}}}"


TaintSet = tuple[Taint, ...]


def taints_of(node: Node) -> TaintSet:
    """The taints of a node, and those that its conditions imply."""
    taints = [Taint(taint.key, taint.value, taint.effect) for taint in node.spec.taints]
    present = {(taint.key, taint.effect) for taint in taints}
    for condition in node.status.conditions:
        key = _IMPLIED.get((condition.type, condition.status))
        if key is not None and (key, NO_SCHEDULE) not in present:
            taints.append(Taint(key, "", NO_SCHEDULE))
    return tuple(taints)


class Taints:
    """The number of each row's set of taints."""

    def __init__(self) -> None:
        self.codes: NDArray[np.int32] = np.zeros(INITIAL_CAPACITY, np.int32)
        """Number of the set, by row; 0 is the empty set."""
        self.sets: list[TaintSet] = [()]
        """Set by number."""
        self._number: dict[TaintSet, int] = {(): 0}

    def grow(self, capacity: int) -> None:
        """Makes room for so many rows."""
        self.codes = grown(self.codes, capacity)

    def set(self, row: int, taints: TaintSet) -> bool:
        """Sets a node's taints; whether that changed them."""
        number = self._number.get(taints)
        if number is None:
            number = self._number[taints] = len(self.sets)
            self.sets.append(taints)
        if self.codes[row] == number:
            return False
        self.codes[row] = number
        return True
