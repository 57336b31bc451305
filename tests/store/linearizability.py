"""Whether what clients saw of one register can have happened in some order that agrees with real time.

The search of Wing and Gong, with the cache of Lowe: operations are tried in every order in which none comes before one
that had ended before it began, and a set of operations done with a value left is not looked at twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

FOREVER = float("inf")


@dataclass(frozen=True)
class Operation:
    """A read or write of one register.

    Attributes:
        key: which register.
        write: whether it wrote `value`; else it read `value`.
        value: None is a register never written. No two writes have the same value.
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
    operations = _bounded(operations)
    complete = (1 << len(operations)) - 1
    seen: set[tuple[int, str | None]] = set()
    # Done operations as bits, the first place that is not done, the value left.
    stack: list[tuple[int, int, str | None]] = [(0, 0, None)]
    while stack:
        done, first, value = stack.pop()
        while True:
            if done == complete:
                return True
            while done >> first & 1:
                first += 1
            candidates = _candidates(operations, done, first)
            reads = [place for place in candidates if not operations[place].write and operations[place].value == value]
            if not reads:
                break
            # A read that may come next and agrees changes nothing: taking it now rules nothing out.
            for place in reads:
                done |= 1 << place
        for place in candidates:
            if operations[place].write:
                state = (done | 1 << place, operations[place].value)
                if state not in seen:
                    seen.add(state)
                    stack.append((state[0], first, state[1]))
    return False


def _candidates(operations: Sequence[Operation], done: int, first: int) -> list[int]:
    """Operations that may come next: begun before any that is not done has ended."""
    found = []
    end = FOREVER
    for place in range(first, len(operations)):
        operation = operations[place]
        if operation.begun > end:
            break
        if not done >> place & 1:
            found.append(place)
            end = min(end, operation.ended)
    return [place for place in found if operations[place].begun <= end]


def _bounded(operations: Sequence[Operation]) -> list[Operation]:
    """By beginning, and without open ends: values are written once, so an unanswered write that nobody saw can be
    left out, and one that was seen had happened when the first who saw it was answered."""
    seen: dict[str | None, float] = {}
    for operation in operations:
        if not operation.write:
            seen[operation.value] = min(seen.get(operation.value, FOREVER), operation.ended)
    bounded = []
    for operation in sorted(operations, key=lambda operation: operation.begun):
        if operation.ended == FOREVER:
            if operation.value not in seen:
                continue
            operation = replace(operation, ended=seen[operation.value])
        bounded.append(operation)
    return bounded
