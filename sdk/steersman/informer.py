"""A local copy of a kind's objects that keeps itself current.

The informer watches; when the watch breaks it resumes where it was, and when that is too long ago it reads the present
state and works out what changed meanwhile. It is never silently stale: a watch on which nothing is heard, not even a
bookmark, is taken for broken. Handlers see every object's changes in order; the store is up to date when they run.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Any, Generic, NamedTuple, TypeVar

from google.protobuf.message import Message

from steersman import errors
from steersman.clock import Clock, RealClock
from steersman.kinds import Kind
from steersman.log import get_logger
from steersman.meta.v1.requests_pb2 import BOOKMARK, DELETED
from steersman.resource import ResourceClient, WatchEvent
from steersman.retry import Backoff

M = TypeVar("M", bound=Message)
Handler = Callable[[M | None, M | None], None]

log = get_logger(__name__)


class Key(NamedTuple):
    """Names an object of a kind; the namespace is empty for kinds without one."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def key_of(obj: Any) -> Key:
    """The key of an object."""
    return Key(obj.metadata.namespace, obj.metadata.name)


class Informer(Generic[M]):
    """A self-repairing cache of one kind. Objects in it are shared: copy before changing one."""

    def __init__(
        self,
        client: ResourceClient[M],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._clock = clock or RealClock()
        self._objects: dict[Key, M] = {}
        self._handlers: builtins.list[Handler[M]] = []
        self._indexers: dict[str, Callable[[M], Iterable[str]]] = {}
        self._indexes: dict[str, dict[str, dict[Key, M]]] = {}
        self._synced = asyncio.Event()
        self._listed: set[Key] | None = None
        self.resource_version = ""
        """Revision up to which this copy is current; empty before the first sync."""

    @property
    def kind(self) -> Kind:
        """The kind of its objects."""
        return self._client.kind

    def on_change(self, handler: Handler[M]) -> None:
        """Calls `handler(old, new)` on every change; old is None for a new object, new is None for a deleted one.

        Objects that are here already are reported at once as new. What a handler raises ends `run`.
        """
        self._handlers.append(handler)
        for obj in list(self._objects.values()):
            handler(None, obj)

    def add_index(self, name: str, values: Callable[[M], Iterable[str]]) -> None:
        """Keeps an index: `by_index(name, value)` finds the objects for which `values(obj)` has the value."""
        self._indexers[name] = values
        self._indexes[name] = {}
        for key, obj in self._objects.items():
            self._index(name, key, obj)

    def get(self, key: Key) -> M | None:
        """The object as last seen, or None."""
        return self._objects.get(key)

    def list(self) -> list[M]:
        """All objects as last seen, in no particular order."""
        return [*self._objects.values()]

    def by_index(self, name: str, value: str) -> builtins.list[M]:
        """The objects that an index has under a value."""
        return [*self._indexes[name].get(value, {}).values()]

    def __len__(self) -> int:
        return len(self._objects)

    async def synced(self) -> None:
        """Returns when the first full state has been read."""
        await self._synced.wait()

    async def run(self) -> None:
        """Follows the kind until cancelled, or until a handler or an index raises something."""
        backoff = Backoff(base_s=0.05, limit_s=2.0)
        while True:
            try:
                watch = self._client.watch(
                    namespace=self._namespace,
                    label_selector=self._label_selector,
                    field_selector=self._field_selector,
                    resource_version=self.resource_version,
                )
                async with aclosing(watch) as events:
                    async for event in events:
                        backoff.reset()
                        self._take(event)
            except errors.Expired:
                log.info("watch expired, reading everything again", kind=self._client.kind.kind)
                resumed, self.resource_version = bool(self.resource_version), ""
                self._listed = None
                if resumed:
                    continue
            except errors.ApiError as error:
                log.warning("watch broke", kind=self._client.kind.kind, error=error.message, code=error.code.name)
            self._listed = None
            await self._clock.sleep(backoff.next_s())

    def _take(self, event: WatchEvent[M]) -> None:
        if not self.resource_version and self._listed is None:
            # The first message of a full read: from here on, note what exists.
            self._listed = set()
        if event.type == BOOKMARK:
            if event.initial_state_end and self._listed is not None:
                for key in self._objects.keys() - self._listed:
                    self._change(key, None)
                self._listed = None
            if self._listed is None:
                self.resource_version = event.resource_version
                self._synced.set()
            return
        assert event.object is not None
        key = key_of(event.object)
        if event.type == DELETED:
            self._change(key, None, last=event.object)
        else:
            if self._listed is not None:
                self._listed.add(key)
            known = self._objects.get(key)
            if known is None or known.metadata.resource_version != event.object.metadata.resource_version:  # type: ignore[attr-defined]
                self._change(key, event.object)
        if self._listed is None:
            self.resource_version = event.resource_version

    def _change(self, key: Key, new: M | None, last: M | None = None) -> None:
        old = self._objects.pop(key, None)
        if old is None and new is None:
            return
        for name in self._indexers:
            if old is not None:
                self._unindex(name, key, old)
            if new is not None:
                self._index(name, key, new)
        if new is not None:
            self._objects[key] = new
        # For a deletion the server's last word is newer than ours.
        before = last if new is None and last is not None else old
        for handler in self._handlers:
            handler(before, new)

    def _index(self, name: str, key: Key, obj: M) -> None:
        for value in self._indexers[name](obj):
            self._indexes[name].setdefault(value, {})[key] = obj

    def _unindex(self, name: str, key: Key, obj: M) -> None:
        index = self._indexes[name]
        for value in self._indexers[name](obj):
            entries = index.get(value)
            if entries is not None:
                entries.pop(key, None)
                if not entries:
                    del index[value]
