"""The store in memory: for tests, and for a control plane inside a test process."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from sortedcontainers import SortedDict

from apiserver.storage.port import (
    Claim,
    Compacted,
    Guarded,
    KeyChanged,
    KeyExists,
    Nudge,
    Page,
    StorageBatch,
    StorageEvent,
    Stored,
)

HISTORY_MAX = 100_000


class MemoryStorage:
    """A `Storage` that forgets everything with its process. One event loop only."""

    def __init__(self, *, progress_s: float = 1.0) -> None:
        """Makes an empty store that reports progress to its watchers every so many seconds."""
        self._values: SortedDict[str, Stored] = SortedDict()
        self._history: list[StorageEvent] = []
        self._revision = 1
        self._oldest = 1
        self._changed = asyncio.Condition()
        self._progress_s = progress_s
        self._waking: set[asyncio.Task[None]] = set()

    async def get(self, key: str) -> Stored | None:
        """See `Storage.get`."""
        found: Stored | None = self._values.get(key)
        return found

    async def list(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """See `Storage.list`."""
        values = self._as_of(revision) if revision and revision != self._revision else self._values
        keys = values.irange(max(prefix, after), prefix[:-1] + chr(ord(prefix[-1]) + 1), inclusive=(True, False))
        items = [values[key] for key in keys if key != after]
        page = items[:limit] if limit else items
        return Page(page, revision or self._revision, len(page) < len(items), len(items) - len(page))

    def _as_of(self, revision: int) -> SortedDict[str, Stored]:
        if revision < self._oldest:
            raise Compacted(self._oldest)
        values = SortedDict(self._values)
        for event in reversed(self._history):
            if event.revision <= revision:
                break
            if event.previous is None:
                values.pop(event.key, None)
            else:
                values[event.key] = Stored(event.key, event.previous, self._revision_before(event))
        return values

    def _revision_before(self, event: StorageEvent) -> int:
        earlier = (e.revision for e in reversed(self._history) if e.key == event.key and e.revision < event.revision)
        return next(earlier, self._oldest)

    async def create(
        self, key: str, value: bytes, *, claims: Sequence[Claim] = (), guards: Sequence[Guarded] = ()
    ) -> int:
        """See `Storage.create`."""
        for wanted in (key, *(claim.key for claim in claims)):
            if wanted in self._values:
                raise KeyExists(wanted)
        for guard in guards:
            self._guard(guard.key, guard.revision)
        return await self._commit([(key, value), *_puts(claims, guards)])

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
        """See `Storage.update`."""
        self._guard(key, revision)
        for guard in guards:
            self._guard(guard.key, guard.revision)
        for claim in claims:
            if claim.key in self._values:
                raise KeyExists(claim.key)
        changes: list[tuple[str, bytes | None]] = [(key, value), *_puts(claims, guards)]
        return await self._commit([*changes, *((released, None) for released in releases)])

    async def delete(self, key: str, *, revision: int, releases: Sequence[str] = ()) -> int:
        """See `Storage.delete`."""
        self._guard(key, revision)
        return await self._commit([(key, None), *((released, None) for released in releases)])

    def _guard(self, key: str, revision: int) -> None:
        current: Stored | None = self._values.get(key)
        if current is None or current.revision != revision:
            raise KeyChanged(key, current)

    async def _commit(self, changes: Sequence[tuple[str, bytes | None]]) -> int:
        self._revision += 1
        for key, value in changes:
            known: Stored | None = self._values.get(key)
            if value is None and known is None:
                continue
            if value is None:
                del self._values[key]
            else:
                self._values[key] = Stored(key, value, self._revision)
            self._history.append(StorageEvent(key, value, known.value if known else None, self._revision))
        if len(self._history) > HISTORY_MAX:
            del self._history[: HISTORY_MAX // 2]
            self._oldest = self._history[0].revision
        async with self._changed:
            self._changed.notify_all()
        return self._revision

    async def compact(self, revision: int) -> None:
        """See `Storage.compact`."""
        if revision <= self._oldest:
            return
        self._history = [event for event in self._history if event.revision > revision]
        self._oldest = revision

    async def revision(self) -> int:
        """See `Storage.revision`."""
        return self._revision

    async def reports_exactly(self) -> bool:
        """See `Storage.reports_exactly`."""
        return True

    async def watch(self, prefix: str, *, revision: int, nudge: Nudge | None = None) -> AsyncIterator[StorageBatch]:
        """See `Storage.watch`."""
        asked = asyncio.Event()
        if nudge is not None:
            nudge.ask = lambda: self._answer_soon(asked)
        if revision < self._oldest - 1:
            raise Compacted(self._oldest)
        seen = revision
        while True:
            events = [e for e in self._tail(seen) if e.key.startswith(prefix)]
            seen = max(seen, self._revision)
            yield StorageBatch(events, seen)
            async with self._changed:
                if self._revision > seen:
                    continue
                # Not wait_for: in Python 3.11 it can lose a cancellation that arrives together with a change.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._progress_s):
                        if not asked.is_set():
                            await self._changed.wait()
                asked.clear()

    def _answer_soon(self, asked: asyncio.Event) -> None:
        async def wake() -> None:
            async with self._changed:
                self._changed.notify_all()

        asked.set()
        task = asyncio.get_running_loop().create_task(wake())
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)

    def _tail(self, revision: int) -> builtins.list[StorageEvent]:
        index = len(self._history)
        while index and self._history[index - 1].revision > revision:
            index -= 1
        return self._history[index:]


def _puts(claims: Sequence[Claim], guards: Sequence[Guarded]) -> builtins.list[tuple[str, bytes]]:
    return [*((claim.key, claim.value) for claim in claims), *((guard.key, guard.value) for guard in guards)]
