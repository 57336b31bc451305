"""What the apiserver needs of a store: keys with values and revisions, guarded writes, and watches without gaps.

Every implementation passes `tests/contract/test_storage.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple, Protocol


class Stored(NamedTuple):
    """A value and the revision of the write that put it there."""

    key: str
    value: bytes
    revision: int


class Page(NamedTuple):
    """A part of a prefix as of one revision.

    Attributes:
        items: in order of their keys.
        revision: what all items are as of.
        more: whether items follow these.
        remaining: how many follow.
    """

    items: list[Stored]
    revision: int
    more: bool
    remaining: int


class StorageEvent(NamedTuple):
    """One change of a key; value is None for a deletion, previous is None for a new key."""

    key: str
    value: bytes | None
    previous: bytes | None
    revision: int


class StorageBatch(NamedTuple):
    """Changes in order, and the revision up to which the watcher has now seen everything."""

    events: Sequence[StorageEvent]
    revision: int


class Nudge:
    """Asks a watch how far it has come: it then reports at once, and not only when the store does so by itself.

    Attributes:
        ask: asks; does nothing while no watch listens.
    """

    def __init__(self) -> None:
        self.ask: Callable[[], None] = lambda: None


class KeyExists(Exception):
    """A key that was to be created is there already."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class KeyChanged(Exception):
    """A guarded key has another revision, or is gone; `current` is what is there."""

    def __init__(self, key: str, current: Stored | None) -> None:
        super().__init__(key)
        self.key = key
        self.current = current


class Compacted(Exception):
    """A revision is gone; `oldest` can still be read."""

    def __init__(self, oldest: int) -> None:
        super().__init__(str(oldest))
        self.oldest = oldest


class Claim(NamedTuple):
    """A key that is taken or given back in the same transaction as a write: an address, a port."""

    key: str
    value: bytes


class Guarded(NamedTuple):
    """Another key that is replaced in the same transaction as a write, if it still has a revision."""

    key: str
    value: bytes
    revision: int


class Storage(Protocol):
    """The port. All methods may raise `errors.StorageUnavailable`; reads are linearizable."""

    async def get(self, key: str) -> Stored | None:
        """The key's value, or None."""
        ...

    async def list(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Values below a prefix, those after the key `after` only, at most `limit` (0: all), as of a revision (0: now).

        Raises:
            Compacted: the revision is gone.
        """
        ...

    async def create(
        self, key: str, value: bytes, *, claims: Sequence[Claim] = (), guards: Sequence[Guarded] = ()
    ) -> int:
        """Puts a new key, and claims with it, and replaces what is guarded; returns the revision. All or nothing.

        Raises:
            KeyExists: the key, or one of the claims, is there already.
            KeyChanged: a guarded key has another revision or is gone.
        """
        ...

    async def update(
        self,
        key: str,
        value: bytes,
        *,
        revision: int,
        claims: Sequence[Claim] = (),
        releases: Sequence[str] = (),
        guards: Sequence[Guarded] = (),
    ) -> int:
        """Replaces a key that still has `revision`, takes claims and gives back others; returns the new revision.

        Raises:
            KeyChanged: the key, or one that is guarded, has another revision or is gone.
            KeyExists: one of the claims is there already.
        """
        ...

    async def delete(self, key: str, *, revision: int, releases: Sequence[str] = ()) -> int:
        """Deletes a key that still has `revision`, and gives claims back; returns the revision of the deletion.

        Raises:
            KeyChanged: the key has another revision or is gone.
        """
        ...

    async def compact(self, revision: int) -> None:
        """Forgets what was before a revision; the state at the revision stays. Idempotent."""
        ...

    async def revision(self) -> int:
        """The newest revision, as of the call or later."""
        ...

    async def reports_exactly(self) -> bool:
        """Whether watches never report a revision before the changes up to it; some releases of etcd do."""
        ...

    def watch(self, prefix: str, *, revision: int, nudge: Nudge | None = None) -> AsyncIterator[StorageBatch]:
        """Yields every change below a prefix after a revision, in order; batches without events report progress.

        With `nudge` it can be asked how far it has come.

        Raises:
            Compacted: the revision is gone.
        """
        ...
