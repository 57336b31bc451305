"""Whether what clients saw of one register can have happened in some order that agrees with real time.

The search of Wing and Gong, with the cache of Lowe: operations are tried in every order in which none comes before one
that had ended before it began, and a set of operations done with a value left is not looked at twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FOREVER = float("inf")


@dataclass(frozen=True)
class Operation:
    """A read or write of one register.

    Attributes:
        key: which register.
        write: whether it wrote `value`; else it read `value`.
        value: None is a register never written.
        begun: when the client sent it.
        ended: when it heard the answer; `FOREVER` for a write of which it never heard: it may have happened at any
            time, or not at all. Reads without an answer are left out.
    """

    key: str
    write: bool
    value: str | None
    begun: float
    ended: float


def is_linearizable(history: Iterable[Operation]) -> bool:
    """Whether every register's operations are, taken by themselves; that is enough for all together."""
    by_key: dict[str, list[Operation]] = {}
    for operation in history:
        by_key.setdefault(operation.key, []).append(operation)
    return all(_register(operations) for operations in by_key.values())


def _register(operations: Sequence[Operation]) -> bool:
    operations = sorted(operations, key=lambda operation: operation.begun)
    pending = frozenset(range(len(operations)))
    seen: set[tuple[frozenset[int], str | None]] = set()
    stack: list[tuple[frozenset[int], str | None]] = [(pending, None)]
    while stack:
        left, value = stack.pop()
        if all(operations[place].ended == FOREVER for place in left):
            return True
        first_end = min(operations[place].ended for place in left)
        for place in left:
            operation = operations[place]
            if operation.begun > first_end:
                continue
            if not operation.write and operation.value != value:
                continue
            state = (left - {place}, operation.value)
            if state not in seen:
                seen.add(state)
                stack.append(state)
    return False
