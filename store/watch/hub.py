"""Who watches what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from store.mvcc.version import Change
from store.watch.watcher import Watcher

_Watchers = dict[Watcher, None]


class WatchHub:
    """Finds the watchers of a changed key: by the key, by each of its prefixes that is watched, and among the rest.

    Ten thousand watches of other keys or prefixes cost a change nothing. Only intervals that are neither a key nor a
    prefix are looked at one by one.
    """

    def __init__(self) -> None:
        self._by_key: dict[bytes, _Watchers] = {}
        self._by_prefix: dict[bytes, _Watchers] = {}
        self._prefix_lengths: Counter[int] = Counter()
        self._others: _Watchers = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def _shelf(self, watcher: Watcher) -> tuple[dict[bytes, _Watchers] | None, bytes]:
        interval = watcher.interval
        if interval.single:
            return self._by_key, interval.start
        prefix = interval.prefix
        return (None, b"") if prefix is None else (self._by_prefix, prefix)

    def add(self, watcher: Watcher) -> None:
        """From here on the watcher is offered changes."""
        self._count += 1
        shelf, name = self._shelf(watcher)
        if shelf is None:
            self._others[watcher] = None
            return
        if shelf is self._by_prefix and name not in shelf:
            self._prefix_lengths[len(name)] += 1
        shelf.setdefault(name, {})[watcher] = None

    def remove(self, watcher: Watcher) -> None:
        """From here on it is not; the watcher must have been added."""
        self._count -= 1
        shelf, name = self._shelf(watcher)
        if shelf is None:
            del self._others[watcher]
            return
        watchers = shelf[name]
        del watchers[watcher]
        if not watchers:
            del shelf[name]
            if shelf is self._by_prefix:
                self._prefix_lengths[len(name)] -= 1
                if not self._prefix_lengths[len(name)]:
                    del self._prefix_lengths[len(name)]

    def _watchers_of(self, key: bytes) -> Iterator[Watcher]:
        yield from self._by_key.get(key, ())
        for length in self._prefix_lengths:
            if length <= len(key):
                yield from self._by_prefix.get(key[:length], ())
        for watcher in self._others:
            if key in watcher.interval:
                yield watcher

    def changed(self, revision: int, changes: Sequence[Change]) -> None:
        """Offers the changes of a revision to those who watch."""
        if not self._count:
            return
        for change in changes:
            for watcher in self._watchers_of(change.after.key):
                watcher.offer(revision, change)

    def replaced(self) -> None:
        """The state was replaced by a later one: everyone reads on from its log."""
        shelves = [*self._by_key.values(), *self._by_prefix.values(), self._others]
        for watchers in shelves:
            for watcher in watchers:
                watcher.fall_back()
                watcher.wake(watcher)
