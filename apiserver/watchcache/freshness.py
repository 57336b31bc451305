"""How far the store has come: one question for all who want to know at the same time."""

from __future__ import annotations

import asyncio

from apiserver import errors
from apiserver.storage.port import Storage


class Freshness:
    """Shares questions for the newest revision. One per apiserver."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._running: asyncio.Task[int] | None = None
        self._next: asyncio.Task[int] | None = None
        self._exact: bool | None = None

    async def is_exact(self) -> bool:
        """Whether what the store's watches report can be relied on; False while the store does not say."""
        if self._exact is None:
            try:
                self._exact = await self._storage.reports_exactly()
            except errors.StorageUnavailable:
                return False
        return self._exact

    async def revision(self) -> int:
        """A revision that is not older than the call. Who comes while a question is under way shares the next.

        Raises:
            StorageUnavailable: the store does not answer.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._ask(self._running))
            # Those who waited may be gone; its failure is then nobody's business.
            self._next.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._next)

    async def _ask(self, previous: asyncio.Task[int] | None) -> int:
        if previous is not None:
            await asyncio.wait({previous})
        self._running, self._next = self._next, None
        return await self._storage.revision()
