"""Sets of a job's indexes, written as numbers and ranges: "0,2-4,7"."""

from __future__ import annotations

import re

_PART = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?")

Interval = tuple[int, int]


class IndexesError(ValueError):
    """Text is not a set of indexes; its text says why."""


def parse(text: str, *, below: int) -> list[Interval]:
    """The intervals (first, last) of a set, rising and apart; empty text is the empty set.

    Args:
        text: numbers and ranges, separated by commas.
        below: every index must be less than this.

    Raises:
        IndexesError: the text is no such set.
    """
    found: list[Interval] = []
    for part in text.split(",") if text else ():
        match = _PART.fullmatch(part)
        if match is None:
            raise IndexesError(f"{part!r} is neither a number nor a range of numbers")
        first = int(match[1])
        last = int(match[2]) if match[2] is not None else first
        if last < first or (match[2] is not None and last == first):
            raise IndexesError(f"{part!r} is no range: its end is not greater than its beginning")
        if found and first <= found[-1][1]:
            raise IndexesError(f"{part!r} is not greater than what stands before it")
        if last >= below:
            raise IndexesError(f"{part!r} is too large: there are {below} indexes")
        found.append((first, last))
    return found


def count(intervals: list[Interval]) -> int:
    """How many indexes a set has."""
    return sum(last - first + 1 for first, last in intervals)
