"""What was changed lately, so that the cluster can be seen as it was when a decision was made."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

CHANGES_MAX = 4096


class Change(NamedTuple):
    """A change.

    Attributes:
        kind: what kind of thing it was.
        key: which one.
        before: what it was; None: it was not there.
        after: what it is; None: it is gone.
    """

    kind: str
    key: Hashable
    before: Any
    after: Any


class Journal:
    """The last changes, in order. Readers keep a position."""

    def __init__(self, limit: int = CHANGES_MAX) -> None:
        self._changes: deque[Change] = deque(maxlen=limit)
        self.position = 0
        """Number of changes ever noted."""
        self._pauses = 0

    @property
    def oldest(self) -> int:
        """The first position from which on all changes are still known."""
        return self.position - len(self._changes)

    def note(self, kind: str, key: Hashable, before: Any, after: Any) -> None:
        """Adds a change, unless it is made in thought only."""
        if not self._pauses:
            self._changes.append(Change(kind, key, before, after))
            self.position += 1

    def since(self, position: int) -> list[Change]:
        """What was changed after a position, in order; it must not be older than `oldest`."""
        return list(islice(self._changes, position - self.oldest, None))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is changed meanwhile is not noted: it is undone before the end."""
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
