"""All objects of one kind as of one revision, and the changes that led there, followed from the store."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from google.protobuf.message import DecodeError
from sortedcontainers import SortedDict
from steersman.meta.v1.requests_pb2 import ADDED
from steersman.retry import Backoff

from apiserver import errors
from apiserver.storage.port import Compacted, Nudge, Storage, StorageEvent, Stored
from apiserver.watchcache import frames
from apiserver.watchcache.freshness import Freshness
from apiserver.watchcache.watcher import Change, Entry, Selection, Watcher

log = structlog.get_logger(__name__)

HISTORY_MAX = 8192
PAGE = 1000
BOOKMARK_S = 5.0
BOOKMARKS_AT_ONCE = 50
# How long a watch from a revision that is not here yet waits for it: longer than the store's reports of progress.
REACH_S = 3.0
# How long a read waits for the cache before it goes to the store, and how soon a store that lags is asked again.
CATCH_UP_S = 1.0
ASK_AGAIN_S = 0.005


class Cache:
    """Follows one prefix of the store and serves any number of watchers from memory."""

    def __init__(
        self,
        storage: Storage,
        prefix: str,
        *,
        entry_of: Callable[[Stored], Entry],
        freshness: Freshness,
        indexed: tuple[str, ...] = (),
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        """Makes a cache; `run()` fills it.

        Args:
            storage: the store.
            prefix: prefix of the kind's keys, ending in "/".
            entry_of: reads what an object can be selected by.
            freshness: knows how far the store has come.
            indexed: fields by whose exact value watchers are found, so that a change costs only those it concerns.
            sleep: waits so many seconds.
        """
        self._storage = storage
        self._prefix = prefix
        self._entry_of = entry_of
        self._indexed = indexed
        self._sleep = sleep
        self._freshness = freshness
        self._nudge = Nudge()
        self._reaching: list[tuple[int, int, asyncio.Future[None]]] = []
        self._ties = itertools.count()
        self._asked = False
        self._overtaken = False
        self._missed = 0
        self._unreadable: set[str] = set()
        self._entries: SortedDict[str, Entry] = SortedDict()
        # Keys by the value of an indexed field, so that a watch of one node's pods begins without looking at all.
        self._keys_by_value: dict[tuple[str, str], dict[str, None]] = {}
        self._history: deque[Change] = deque()
        self._oldest = 0
        self.revision = 0
        self._ready = asyncio.Event()
        self._broad: set[Watcher] = set()
        self._narrow: dict[tuple[str, str], set[Watcher]] = {}
        self._observers: list[Callable[[Entry | None, Entry | None], None]] = []

    def observe(self, observer: Callable[[Entry | None, Entry | None], None]) -> None:
        """Calls `observer(old, new)` for everything there is and for every change, before any watcher hears of it.

        To be called before `run()`.
        """
        self._observers.append(observer)

    async def ready(self) -> None:
        """Returns when the cache has been filled."""
        await self._ready.wait()

    @property
    def passed_over(self) -> bool:
        """Whether the store held a value that is no object: then only the store can say what there is."""
        return bool(self._unreadable)

    @property
    def is_ready(self) -> bool:
        """Whether the cache has been filled."""
        return self._ready.is_set()

    async def reaches(self, revision: int) -> bool:
        """Whether the cache comes as far as a revision, within a moment: another apiserver may be a little ahead."""
        return await self._reach(revision, REACH_S)

    async def catch_up(self) -> bool:
        """Whether the cache holds all that was acknowledged before the call; it waits a moment until it does.

        False means that it cannot tell, and that the store has to be read.
        """
        if not self._ready.is_set() or not await self._freshness.is_exact():
            return False
        known = self.revision
        newest = await self._freshness.revision()
        if newest < known:
            # The store was restored: what the cache holds is of a future that will not come.
            self._overtaken = True
        if self._overtaken or self.revision < self._missed:
            return False
        reached = await self._reach(newest, CATCH_UP_S)
        if not reached:
            # The watch hangs: until it has come so far, nobody else waits for it in vain.
            self._missed = newest
        return reached

    async def _reach(self, revision: int, patience_s: float) -> bool:
        if self.revision >= revision:
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._reaching, (revision, next(self._ties), future))
        self._ask()
        try:
            async with asyncio.timeout(patience_s):
                await future
        except TimeoutError:
            return False
        return True

    def _ask(self) -> None:
        """Asks the store's watch how far it is, unless the answer is still to come."""
        if not self._asked:
            self._asked = True
            self._nudge.ask()

    def _reached(self) -> None:
        """Lets those go on for whom the cache has come far enough; asks again for the others."""
        self._asked = False
        while self._reaching and (self._reaching[0][0] <= self.revision or self._reaching[0][2].done()):
            future = heapq.heappop(self._reaching)[2]
            if not future.done():
                future.set_result(None)
        if self._reaching:
            asyncio.get_running_loop().call_later(ASK_AGAIN_S, self._ask)

    def get(self, key: str) -> Entry | None:
        """An object as the cache has it; it may be older than the store's."""
        found: Entry | None = self._entries.get(key)
        return found

    def keys(self) -> Iterable[str]:
        """The keys of all objects as the cache has them."""
        found: Iterable[str] = self._entries.keys()
        return found

    def select(self, selection: Selection) -> list[tuple[str, Entry]]:
        """What matches, in the order of keys; looks only at what an index or the namespace leaves."""
        for field in self._indexed:
            value = selection.fields.exact(field)
            if value is not None:
                keys = sorted(self._keys_by_value.get((field, value), ()))
                break
        else:
            below = f"{self._prefix}{selection.namespace}/" if selection.namespace else self._prefix
            keys = self._entries.irange(below, below[:-1] + chr(ord(below[-1]) + 1), inclusive=(True, False))
            if selection == Selection(namespace=selection.namespace):
                return [(key, self._entries[key]) for key in keys]
        found = ((key, self._entries[key]) for key in keys)
        return [(key, entry) for key, entry in found if selection.matches(entry)]

    def entries(self) -> Iterator[Entry]:
        """All objects as the cache has them."""
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def count_watchers(self) -> int:
        """How many watchers there are."""
        return len(self._broad) + sum(map(len, self._narrow.values()))

    async def run(self) -> None:
        """Follows the store until cancelled."""
        backoff = Backoff(base_s=0.02, limit_s=0.5)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_bookmarks())
            while True:
                try:
                    if not self._ready.is_set():
                        await self._fill()
                    # An answer of a watch that broke never comes.
                    self._asked = False
                    async for batch in self._storage.watch(self._prefix, revision=self.revision, nudge=self._nudge):
                        backoff.reset()
                        for event in batch.events:
                            self._take(event)
                        self.revision = max(self.revision, batch.revision)
                        self._reached()
                        if self._overtaken:
                            raise Compacted(0)
                except Compacted:
                    log.warning("the store no longer has our revision, reading everything again", prefix=self._prefix)
                    try:
                        await self._fill()
                    except (errors.ApiserverError, Compacted) as error:
                        log.warning("cannot read from the store", prefix=self._prefix, error=str(error))
                except errors.ApiserverError as error:
                    log.warning("the store is away", prefix=self._prefix, error=str(error))
                await self._sleep(backoff.next_s())

    async def _fill(self) -> None:
        """Reads everything; what differs from before is told to the watchers as changes of the revision read."""
        fresh: SortedDict[str, Entry] = SortedDict()
        unreadable: set[str] = set()
        after, revision = "", 0
        while True:
            page = await self._storage.list(self._prefix, after=after, limit=PAGE, revision=revision)
            revision = page.revision
            for item in page.items:
                entry = self._read(item)
                if entry is None:
                    unreadable.add(item.key)
                else:
                    fresh[item.key] = entry
            if not page.more:
                break
            after = page.items[-1].key
        if self._ready.is_set():
            for key in self._entries.keys() - fresh.keys():
                self._record(key, Change(revision, self._entries[key], None))
            for key, entry in fresh.items():
                known = self._entries.get(key)
                if known is None or known.revision != entry.revision:
                    self._record(key, Change(entry.revision, known, entry))
        else:
            for entry in fresh.values():
                self._tell(None, entry)
        self._entries = fresh
        self._keys_by_value = {}
        for key, entry in fresh.items():
            self._file(key, None, entry)
        self._history.clear()
        self._oldest = self.revision = revision
        self._unreadable = unreadable
        self._overtaken = False
        self._missed = 0
        self._ready.set()
        self._reached()

    def _take(self, event: StorageEvent) -> None:
        if event.revision <= self._oldest:
            return
        self._unreadable.discard(event.key)
        old = self._entries.get(event.key)
        if event.value is None:
            if old is not None:
                self._record(event.key, Change(event.revision, old, None))
            return
        new = self._read(Stored(event.key, event.value, event.revision))
        if new is not None:
            self._record(event.key, Change(event.revision, old, new))

    def _read(self, stored: Stored) -> Entry | None:
        """An object of the store; None for a value that is none of ours, which costs nobody else anything."""
        try:
            return self._entry_of(stored)
        except (DecodeError, UnicodeDecodeError) as error:
            log.error("a value in the store is no object, passing over it", key=stored.key, error=str(error))
            self._unreadable.add(stored.key)
            return None

    def _tell(self, old: Entry | None, new: Entry | None) -> None:
        for observer in self._observers:
            observer(old, new)

    def _record(self, key: str, change: Change) -> None:
        self._tell(change.old, change.new)
        self._file(key, change.old, change.new)
        if change.new is None:
            self._entries.pop(key, None)
        else:
            self._entries[key] = change.new
        self._history.append(change)
        if len(self._history) > HISTORY_MAX:
            self._oldest = self._history.popleft().revision
        self.revision = max(self.revision, change.revision)
        for watcher in self._concerned(change):
            watcher.offer(change)
        change.forget_frames()

    def _file(self, key: str, old: Entry | None, new: Entry | None) -> None:
        """Keeps the keys by the values of indexed fields."""
        for field in self._indexed:
            before = old.fields.get(field, "") if old is not None else None
            after = new.fields.get(field, "") if new is not None else None
            if before == after:
                continue
            if before is not None:
                keys = self._keys_by_value.get((field, before), {})
                keys.pop(key, None)
                if not keys:
                    self._keys_by_value.pop((field, before), None)
            if after is not None:
                self._keys_by_value.setdefault((field, after), {})[key] = None

    def _concerned(self, change: Change) -> set[Watcher]:
        if not self._narrow:
            return self._broad
        found = set(self._broad)
        for entry in (change.old, change.new):
            if entry is not None:
                for field in self._indexed:
                    found |= self._narrow.get((field, entry.fields.get(field, "")), set())
        return found

    @contextmanager
    def subscribe(self, selection: Selection, *, since: int | None) -> Iterator[Watcher]:
        """A watcher of a selection: from the present state (`since` None), or from after a revision.

        Raises:
            RevisionCompacted: the history does not reach back to the revision.
        """
        watcher = Watcher(selection)
        backlog = self._backlog(selection, since)
        watcher._queue.extend(backlog)
        home = self._home(selection)
        home.add(watcher)
        try:
            yield watcher
        finally:
            home.discard(watcher)
            for trigger in [t for t, watchers in self._narrow.items() if not watchers]:
                del self._narrow[trigger]

    def _backlog(self, selection: Selection, since: int | None) -> list[bytes]:
        if since is None:
            present = [
                frames.event(ADDED, frames.versioned(entry.data, entry.revision), entry.revision)
                for _, entry in self.select(selection)
            ]
            return [*present, frames.bookmark(self.revision, initial_state_end=True)]
        if since < self._oldest:
            raise errors.RevisionCompacted(since, self._oldest)
        missed = [change.frame_for(selection) for change in self._history if change.revision > since]
        return [frame for frame in missed if frame is not None]

    def _home(self, selection: Selection) -> set[Watcher]:
        for field in self._indexed:
            value = selection.fields.exact(field)
            if value is not None:
                return self._narrow.setdefault((field, value), set())
        return self._broad

    async def _send_bookmarks(self) -> None:
        while True:
            await self._sleep(BOOKMARK_S)
            frame = frames.bookmark(self.revision)
            watchers = [*self._broad, *(w for ws in self._narrow.values() for w in ws)]
            for index, watcher in enumerate(watchers):
                watcher.push(frame)
                if index % BOOKMARKS_AT_ONCE == BOOKMARKS_AT_ONCE - 1:
                    # Each wakes a call: thousands at once would keep all others waiting.
                    await asyncio.sleep(0)


def selectable(obj: Any, paths: Mapping[str, Callable[[Any], str]]) -> dict[str, str]:
    """The values of an object's selectable fields."""
    return {path: read(obj) for path, read in paths.items()}


async def messages(cache: Cache, selection: Selection, *, since: int | None) -> AsyncIterator[list[bytes]]:
    """The messages of one watch, for as long as it is read; those that wait come together.

    Raises:
        RevisionCompacted: the history does not reach back to the revision.
        SlowWatcher: the reader is too slow.
    """
    await cache.ready()
    if since is not None and since > cache.revision and not await cache.reaches(since):
        # Nobody has seen this revision: it is from before a restore, or made up.
        raise errors.RevisionCompacted(since, cache.revision)
    with cache.subscribe(selection, since=since) as watcher:
        while True:
            yield await watcher.next()
