"""What nodes have and what their pods asked for, resource by resource.

Processors are counted in thousandths, memory and storage in bytes, everything else in pieces; the first three resources
always have the same index.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scheduler.columns.rows import INITIAL_CAPACITY, grown
from scheduler.requests import CPU, EPHEMERAL, MEMORY, Demand

Amounts = NDArray[np.int64]
FIXED = (CPU, MEMORY, EPHEMERAL)


class Resources:
    """Amounts by resource and row."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {name: number for number, name in enumerate(FIXED)}
        self.names: list[str] = list(FIXED)
        shape = (len(FIXED), INITIAL_CAPACITY)
        self.allocatable: Amounts = np.zeros(shape, np.int64)
        """What a node has for pods."""
        self.requested: Amounts = np.zeros(shape, np.int64)
        """What its pods asked for."""
        self.assumed: Amounts = np.zeros((2, INITIAL_CAPACITY), np.int64)
        """Processors and memory for scoring: pods that ask for nothing count with a default."""
        self.pods: NDArray[np.int64] = np.zeros(INITIAL_CAPACITY, np.int64)
        """How many pods a node has."""
        self.pods_max: NDArray[np.int64] = np.zeros(INITIAL_CAPACITY, np.int64)
        """How many it may have."""
        self.by_priority: dict[int, Amounts] = {}
        """Of `requested`, what pods of each priority asked for; the last line counts the pods themselves."""

    def grow(self, capacity: int) -> None:
        """Makes room for so many rows."""
        self.allocatable = grown(self.allocatable, capacity)
        self.requested = grown(self.requested, capacity)
        self.assumed = grown(self.assumed, capacity)
        self.pods = grown(self.pods, capacity)
        self.pods_max = grown(self.pods_max, capacity)
        self.by_priority = {priority: grown(amounts, capacity) for priority, amounts in self.by_priority.items()}

    def number(self, resource: str) -> int:
        """The index of a resource, a new one if need be."""
        number = self.index.get(resource)
        if number is None:
            number = self.index[resource] = len(self.names)
            self.names.append(resource)
            empty = np.zeros((1, self.allocatable.shape[1]), np.int64)
            self.allocatable = np.concatenate((self.allocatable, empty))
            self.requested = np.concatenate((self.requested, empty))
            self.by_priority = {
                priority: np.concatenate((amounts[:-1], empty, amounts[-1:]))
                for priority, amounts in self.by_priority.items()
            }
        return number

    def set_node(self, row: int, allocatable: Mapping[str, int], pods_max: int) -> bool:
        """Sets what a node has; whether that changed anything."""
        before = self.allocatable[:, row].tolist(), int(self.pods_max[row])
        numbers = {self.number(resource): amount for resource, amount in allocatable.items()}
        self.allocatable[:, row] = 0
        for number, amount in numbers.items():
            self.allocatable[number, row] = amount
        self.pods_max[row] = pods_max
        return before != (self.allocatable[:, row].tolist(), pods_max)

    def clear_node(self, row: int) -> None:
        """Makes a row that of no node."""
        self.allocatable[:, row] = 0
        self.requested[:, row] = 0
        self.assumed[:, row] = 0
        self.pods[row] = self.pods_max[row] = 0
        for amounts in self.by_priority.values():
            amounts[:, row] = 0

    def add(self, row: int, demand: Demand, priority: int, sign: int) -> None:
        """Counts a pod in (`sign` 1) or out (-1)."""
        for resource, _ in demand.amounts:
            if resource not in self.index:
                self.number(resource)
        alike = self.by_priority.get(priority)
        if alike is None:
            alike = np.zeros((len(self.names) + 1, self.pods.shape[0]), np.int64)
            self.by_priority[priority] = alike
        for resource, amount in demand.amounts:
            number = self.index[resource]
            self.requested[number, row] += sign * amount
            alike[number, row] += sign * amount
        alike[-1, row] += sign
        self.assumed[0, row] += sign * demand.assumed_cpu
        self.assumed[1, row] += sign * demand.assumed_memory
        self.pods[row] += sign
