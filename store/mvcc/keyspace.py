"""All keys, now and in the past."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from operator import attrgetter

from sortedcontainers import SortedDict

from store.errors import Compacted, FutureRevision
from store.mvcc.interval import Interval
from store.mvcc.version import Change, Version

_BY_MOD = attrgetter("mod")


class Keyspace:
    """Keys with their versions since the last compaction.

    `live` holds the newest version of every key that exists; `past` holds what was superseded or deleted, oldest
    first. A key that was written once costs nothing in `past`. `log` holds the versions in the order in which they
    were made, one place per revision from `log_start` on; watchers that have fallen behind read from it.
    """

    def __init__(self, first_revision: int = 1) -> None:
        self.revision = first_revision
        self.compact_revision = 0 if first_revision == 1 else first_revision
        self.live: SortedDict[bytes, Version] = SortedDict()
        self.past: SortedDict[bytes, list[Version]] = SortedDict()
        self.log_start = first_revision + 1
        self.log: list[tuple[Version, ...]] = []
        self.size = 0

    # -- reading -----------------------------------------------------------------------------------------------

    def check_revision(self, revision: int, newest: int) -> None:
        """Refuses a read at a revision that is gone or has not come; 0 and less mean now.

        Raises:
            FutureRevision: above `newest`.
            Compacted: below the last compaction.
        """
        if revision > newest:
            raise FutureRevision
        if 0 < revision < self.compact_revision:
            raise Compacted(self.compact_revision)

    def get(self, key: bytes) -> Version | None:
        """What `key` is now, or None."""
        found: Version | None = self.live.get(key)
        return found

    def get_at(self, key: bytes, revision: int) -> Version | None:
        """What `key` was at `revision`, or None."""
        version: Version | None = self.live.get(key)
        if version is not None and version.mod <= revision:
            return version
        versions = self.past.get(key)
        if versions is None:
            return None
        place = bisect_right(versions, revision, key=_BY_MOD)
        if place == 0 or versions[place - 1].version == 0:
            return None
        found: Version = versions[place - 1]
        return found

    def select(self, interval: Interval) -> Iterator[Version]:
        """The live versions in `interval`, by key."""
        if interval.single:
            version = self.live.get(interval.start)
            if version is not None:
                yield version
            return
        live = self.live
        for key in live.irange(interval.start, interval.end, inclusive=(True, False)):
            yield live[key]

    def select_at(self, interval: Interval, revision: int) -> Iterator[Version]:
        """The versions that were live at `revision` in `interval`, by key."""
        if interval.single:
            keys: Iterable[bytes] = (interval.start,)
        else:
            bounds = (interval.start, interval.end, (True, False))
            keys = sorted({*self.live.irange(*bounds), *self.past.irange(*bounds)})
        for key in keys:
            version = self.get_at(key, revision)
            if version is not None:
                yield version

    def count(self, interval: Interval) -> int:
        """How many keys live in `interval`, without walking over them."""
        if interval.single:
            return int(interval.start in self.live)
        end = len(self.live) if interval.end is None else self.live.bisect_left(interval.end)
        return max(0, int(end - self.live.bisect_left(interval.start)))

    def changes_at(self, revision: int) -> list[Change]:
        """What happened at `revision`, which must be in the log."""
        return [Change(version, self.before(version)) for version in self.log[revision - self.log_start]]

    def before(self, version: Version) -> Version | None:
        """What the key of `version` was just before it, as far as that is not compacted."""
        if version.version == 1 or version.mod - 1 < self.compact_revision:
            return None
        return self.get_at(version.key, version.mod - 1)

    # -- writing -----------------------------------------------------------------------------------------------

    def put(self, key: bytes, value: bytes, lease: int, revision: int, sub: int) -> Change:
        """Writes `key` as change number `sub` of `revision`; `finish` closes the revision."""
        previous: Version | None = self.live.get(key)
        version = Version.put(key, value, lease, revision, sub, previous)
        self.live[key] = version
        if previous is not None:
            self._supersede(key, previous)
        self.size += version.size()
        return Change(version, previous)

    def delete(self, key: bytes, revision: int, sub: int) -> Change | None:
        """Deletes `key` as change number `sub` of `revision`; None when it does not live."""
        previous: Version | None = self.live.pop(key, None)
        if previous is None:
            return None
        tombstone = Version.tombstone(key, revision, sub)
        self._supersede(key, previous, tombstone)
        self.size += tombstone.size()
        return Change(tombstone, previous)

    def finish(self, changes: list[Change]) -> None:
        """Closes the current revision: from here on `changes` have happened, all at once."""
        self.revision += 1
        self.log.append(tuple([change.after for change in changes]))

    def _supersede(self, key: bytes, *versions: Version) -> None:
        past = self.past.get(key)
        if past is None:
            self.past[key] = list(versions)
        else:
            past.extend(versions)

    # -- forgetting --------------------------------------------------------------------------------------------

    def compact(self, revision: int) -> None:
        """Makes history before `revision` unreadable. The memory comes free as `scrub` is called.

        Raises:
            Compacted: that far is compacted already.
            FutureRevision: `revision` has not come.
        """
        if revision <= self.compact_revision:
            raise Compacted(self.compact_revision)
        if revision > self.revision:
            raise FutureRevision
        self.compact_revision = revision

    def scrub(self, revisions: int) -> bool:
        """Frees what compaction made unreadable, at most `revisions` places of the log; whether more is left.

        The versions made at the compaction's own revision stay in the log, since a watch may start there.
        """
        last = self.compact_revision
        places = max(0, min(revisions, last - self.log_start, len(self.log)))
        for made in self.log[:places]:
            for version in made:
                self._forget_before(version.key, last)
        del self.log[:places]
        self.log_start += places
        if self.log_start == last and self.log:
            for version in self.log[0]:
                self._forget_before(version.key, last)
        return self.log_start < last

    def _forget_before(self, key: bytes, revision: int) -> None:
        versions = self.past.get(key)
        if versions is None:
            return
        live: Version | None = self.live.get(key)
        if live is not None and live.mod <= revision:
            kept = 0
            rest = bisect_right(versions, revision, key=_BY_MOD)
        else:
            rest = bisect_right(versions, revision, key=_BY_MOD)
            # The newest one at or below the revision is still visible there, unless it is a deletion.
            kept = 1 if rest and versions[rest - 1].version else 0
        for version in versions[: rest - kept]:
            self.size -= version.size()
        if rest - kept == len(versions):
            del self.past[key]
        else:
            del versions[: rest - kept]

    # -- the whole ---------------------------------------------------------------------------------------------

    @staticmethod
    def visible(versions: Iterable[Version], revision: int, compact_revision: int) -> list[Version]:
        """Those of a key's `versions`, oldest first, that make up its history between the two revisions.

        A deletion at `compact_revision` itself is among them, since a watch may start there.
        """
        kept: list[Version] = []
        base: Version | None = None
        for version in versions:
            if version.mod > revision:
                break
            if version.mod <= compact_revision:
                base = version
            else:
                kept.append(version)
        if base is not None and (base.version or base.mod == compact_revision):
            kept.insert(0, base)
        return kept

    def history(self, key: bytes) -> list[Version]:
        """All versions of `key` that are held, oldest first."""
        versions: list[Version] = list(self.past.get(key, ()))
        live: Version | None = self.live.get(key)
        if live is not None:
            versions.append(live)
        return versions

    def all_keys(self) -> list[bytes]:
        """Every key of which any version is held, by key."""
        if not self.past:
            return list(self.live)
        return sorted({*self.live, *self.past})

    def load(self, versions: list[Version], revision: int, compact_revision: int) -> None:
        """Becomes what a snapshot says. `versions` in any order; they are sorted here.

        The log holds what happened from `compact_revision` on; older versions are there to be read only.
        """
        versions.sort(key=lambda version: (version.mod, version.sub))
        live: dict[bytes, Version] = {}
        past: dict[bytes, list[Version]] = {}
        size = 0
        log: dict[int, list[Version]] = {}
        for version in versions:
            size += version.size()
            key = version.key
            previous = live.pop(key, None)
            if previous is not None:
                past.setdefault(key, []).append(previous)
            if version.version:
                live[key] = version
            else:
                past.setdefault(key, []).append(version)
            if version.mod >= compact_revision:
                log.setdefault(version.mod, []).append(version)
        self.live = SortedDict(live)
        self.past = SortedDict(past)
        self.size = size
        self.revision = revision
        self.compact_revision = compact_revision
        self.log_start = max(2, compact_revision)
        self.log = [tuple(log.get(place, ())) for place in range(self.log_start, revision + 1)]
