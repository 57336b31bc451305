"""Which node has which row, and which rows changed since somebody last looked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = slice | NDArray[np.intp]
"""A choice of rows: all of them as a slice, or some of them by number."""

INITIAL_CAPACITY = 64


def grown(column: NDArray[Any], capacity: int) -> NDArray[Any]:
    """The column with room for so many rows in its last dimension; new rows are zero."""
    wider = np.zeros((*column.shape[:-1], capacity), column.dtype)
    wider[..., : column.shape[-1]] = column
    return wider


class ChangeLog:
    """Rows in the order in which they changed. Readers keep a position and ask what came after it."""

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._start = 0

    @property
    def position(self) -> int:
        """The present end of the log."""
        return self._start + len(self._rows)

    def note(self, row: int) -> None:
        """Adds a change."""
        self._rows.append(row)

    def since(self, position: int) -> list[int] | None:
        """The rows that changed after a position, each once; None: so long ago that it is not known any more."""
        if position < self._start:
            return None
        recent = self._rows[position - self._start :]
        return recent if len(recent) < 2 else list(set(recent))

    def trim(self, keep: int) -> None:
        """Forgets all but the last `keep` changes, once there are twice as many."""
        if len(self._rows) > 2 * keep:
            excess = len(self._rows) - keep
            del self._rows[:excess]
            self._start += excess


class RowTable:
    """Names of nodes and their rows. A row that becomes free is given to the next new node."""

    def __init__(self) -> None:
        self.names: list[str] = []
        """Name by row; empty for a free row."""
        self.valid: NDArray[np.bool_] = np.zeros(INITIAL_CAPACITY, np.bool_)
        """Whether a row is a node."""
        self.altered = ChangeLog()
        """Rows whose node changed."""
        self.touched = ChangeLog()
        """Rows on which pods came or went."""
        self._row: dict[str, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        """How many nodes there are."""
        return len(self._row)

    @property
    def height(self) -> int:
        """Rows in use, free ones among them included."""
        return len(self.names)

    @property
    def capacity(self) -> int:
        """Rows for which there is room."""
        return len(self.valid)

    def get(self, name: str) -> int | None:
        """The row of a node, or None."""
        return self._row.get(name)

    def take(self, name: str) -> tuple[int, bool]:
        """Gives a node a row; also whether the columns must grow to `capacity` first."""
        if self._free:
            row, grow = self._free.pop(), False
            self.names[row] = name
        else:
            row = len(self.names)
            self.names.append(name)
            grow = row >= len(self.valid)
            if grow:
                self.valid = grown(self.valid, 2 * len(self.valid))
        self._row[name] = row
        self.valid[row] = True
        return row, grow

    def release(self, name: str) -> int:
        """Frees a node's row and returns it."""
        row = self._row.pop(name)
        self.names[row] = ""
        self.valid[row] = False
        self._free.append(row)
        return row
