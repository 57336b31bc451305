"""Labels of nodes as numbers: one column per key that anybody asked for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scheduler.columns.rows import INITIAL_CAPACITY, grown

Codes = NDArray[np.int32]


class LabelColumn:
    """The values of one label key: a number per row, 0 where the label is absent.

    Attributes:
        key: the label's key.
        codes: number by row.
        values: value by number; number 0 is not a value.
        used: when it was last asked for, in questions asked.
    """

    def __init__(self, key: str, capacity: int) -> None:
        self.key = key
        self.codes: Codes = np.zeros(capacity, np.int32)
        self.values: list[str] = [""]
        self.used = 0
        self._number: dict[str, int] = {}
        self._integers: NDArray[np.float64] = np.full(1, np.nan)

    def number(self, value: str) -> int | None:
        """The number of a value that some node has or had, or None."""
        return self._number.get(value)

    def set(self, row: int, value: str | None) -> bool:
        """Sets a row's value (None: absent); whether that changed it."""
        if value is None:
            code = 0
        else:
            known = self._number.get(value)
            if known is None:
                known = self._number[value] = len(self.values)
                self.values.append(value)
            code = known
        if self.codes[row] == code:
            return False
        self.codes[row] = code
        return True

    def integers(self) -> NDArray[np.float64]:
        """The integer that each value spells, by number; not-a-number for values that spell none."""
        known = len(self._integers)
        if known < len(self.values):
            self._integers = np.concatenate((self._integers, [_integer(value) for value in self.values[known:]]))
        return self._integers


def _integer(text: str) -> float:
    try:
        return float(int(text))
    except ValueError:
        return float("nan")


class Labels:
    """Labels of all nodes."""

    COLUMNS_MAX = 1024
    """So many columns are kept; the ones not asked for the longest time go first, and are made anew when needed."""

    def __init__(self) -> None:
        self.of_row: list[Mapping[str, str]] = []
        """A node's labels, by row."""
        self.columns: dict[str, LabelColumn] = {}
        """The columns that exist, by key."""
        self._capacity = INITIAL_CAPACITY
        self._questions = 0

    def grow(self, capacity: int) -> None:
        """Makes room for so many rows."""
        self._capacity = capacity
        for column in self.columns.values():
            column.codes = grown(column.codes, capacity)

    def column(self, key: str) -> LabelColumn:
        """The column of a key; made from all nodes when it is first asked for."""
        self._questions += 1
        column = self.columns.get(key)
        if column is None:
            if len(self.columns) >= self.COLUMNS_MAX:
                for stale in sorted(self.columns.values(), key=lambda one: one.used)[: self.COLUMNS_MAX // 4]:
                    del self.columns[stale.key]
            column = self.columns[key] = LabelColumn(key, self._capacity)
            for row, labels in enumerate(self.of_row):
                column.set(row, labels.get(key))
        column.used = self._questions
        return column

    def set(self, row: int, labels: Mapping[str, str]) -> list[str]:
        """Sets a node's labels; the keys whose columns changed."""
        while len(self.of_row) <= row:
            self.of_row.append({})
        self.of_row[row] = labels
        return [key for key, column in self.columns.items() if column.set(row, labels.get(key))]


def add_up(codes: Codes, numbers: NDArray[np.int32], values: int) -> NDArray[np.float64]:
    """Numbers of rows added up by the rows' codes; one sum for each code below `values`, which are exact."""
    return np.asarray(np.bincount(codes, weights=numbers, minlength=values), np.float64)
