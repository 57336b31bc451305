"""One subscriber of a kind's changes: what it wants, and the queue between it and the cache."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from steersman.meta.v1.requests_pb2 import ADDED, DELETED, MODIFIED
from steersman.selectors import EVERYTHING, Selector

from apiserver import errors
from apiserver.watchcache import frames

QUEUE_MAX = 4096


@dataclass(frozen=True, slots=True)
class Entry:
    """An object in the cache: its bytes, what it can be selected by, and what the apiserver itself goes by."""

    namespace: str
    name: str
    data: bytes
    revision: int
    labels: Mapping[str, str]
    fields: Mapping[str, str]
    facts: Any = None


@dataclass(frozen=True)
class Selection:
    """Which objects are wanted."""

    namespace: str = ""
    name: str = ""
    labels: Selector = EVERYTHING
    fields: Selector = EVERYTHING

    def matches(self, entry: Entry) -> bool:
        """Whether an object is wanted."""
        return (
            (not self.namespace or entry.namespace == self.namespace)
            and (not self.name or entry.name == self.name)
            and self.labels.matches(entry.labels)
            and self.fields.matches(entry.fields)
        )


@dataclass(slots=True)
class Change:
    """One change of an object; its messages are made once and shared by all watchers."""

    revision: int
    old: Entry | None
    new: Entry | None
    _frames: dict[int, bytes] = field(default_factory=dict)

    def frame(self, event_type: int) -> bytes:
        """The message that reports this change as ADDED, MODIFIED or DELETED."""
        made = self._frames.get(event_type)
        if made is None:
            entry = self.new if event_type != DELETED or self.new is not None else self.old
            assert entry is not None
            made = frames.event(event_type, frames.versioned(entry.data, self.revision), self.revision)
            self._frames[event_type] = made
        return made

    def forget_frames(self) -> None:
        """Drops the messages, once every watcher has been offered the change."""
        self._frames.clear()

    def frame_for(self, selection: Selection) -> bytes | None:
        """The message for a watcher of a selection; None when this is nothing to it.

        An object that stops matching is DELETED to it, one that starts to is ADDED.
        """
        before = self.old is not None and selection.matches(self.old)
        after = self.new is not None and selection.matches(self.new)
        if after:
            return self.frame(MODIFIED if before else ADDED)
        return self.frame(DELETED) if before else None


class Watcher:
    """The queue of one subscriber. Memory is bounded: one that lets `limit` messages pile up is cut off."""

    def __init__(self, selection: Selection, *, limit: int = QUEUE_MAX) -> None:
        self.selection = selection
        self._limit = limit
        self._queue: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._failure: errors.ApiserverError | None = None

    def offer(self, change: Change) -> None:
        """Queues a change if the subscriber wants it."""
        frame = change.frame_for(self.selection)
        if frame is not None:
            self.push(frame)

    def push(self, frame: bytes) -> None:
        """Queues a message."""
        if self._failure is not None:
            return
        if len(self._queue) >= self._limit:
            self._queue.clear()
            self.fail(errors.SlowWatcher(self._limit))
            return
        self._queue.append(frame)
        self._wake.set()

    def fail(self, error: errors.ApiserverError) -> None:
        """Ends the subscription with an error, after what is queued."""
        self._failure = error
        self._wake.set()

    async def next(self) -> list[bytes]:
        """The messages that are waiting, at least one.

        Raises:
            ApiserverError: the subscription has ended.
        """
        while not self._queue:
            if self._failure is not None:
                raise self._failure
            self._wake.clear()
            await self._wake.wait()
        taken = list(self._queue)
        self._queue.clear()
        return taken
