"""What every storage on another one passes on as it is."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator

from apiserver.storage.port import Nudge, Storage, StorageBatch, StorageEvent


class WrappedStorage(abc.ABC):
    """A storage on another one that shows values differently. Revisions and their order are the other one's."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @abc.abstractmethod
    def _event(self, event: StorageEvent) -> StorageEvent:
        """A change as it is shown."""

    async def compact(self, revision: int) -> None:
        """See `Storage.compact`."""
        await self._storage.compact(revision)

    async def revision(self) -> int:
        """See `Storage.revision`."""
        return await self._storage.revision()

    async def reports_exactly(self) -> bool:
        """See `Storage.reports_exactly`."""
        return await self._storage.reports_exactly()

    async def watch(self, prefix: str, *, revision: int, nudge: Nudge | None = None) -> AsyncIterator[StorageBatch]:
        """See `Storage.watch`."""
        async for batch in self._storage.watch(prefix, revision=revision, nudge=nudge):
            yield StorageBatch([self._event(event) for event in batch.events], batch.revision)
