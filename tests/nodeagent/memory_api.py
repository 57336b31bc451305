"""An apiserver in memory, as far as the agent needs one: the shape of `steersman.client.Api`, no validation.

It serves the agent's own tests where a real apiserver would only stand in the way; see test_with_apiserver.py for that.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message
from steersman import kinds
from steersman.client import ADDED, BOOKMARK, DELETED, MODIFIED, WatchEvent
from steersman.clock import to_timestamp
from steersman.errors import AlreadyExists, Conflict, Expired, NotFound, Unavailable

from nodeagent.pod.plan import grace_of


def _copy(obj: Any) -> Any:
    fresh = type(obj)()
    fresh.CopyFrom(obj)
    return fresh


class MemoryApi:
    """All kinds, in memory."""

    def __init__(self) -> None:
        self.revision = 0
        self.away = False
        """While true every call fails, and watches break."""
        self._clients: dict[str, MemoryClient] = {}

    def check(self) -> None:
        if self.away:
            raise Unavailable("the apiserver is away")

    async def go_away(self) -> None:
        self.away = True
        for client in self._clients.values():
            client.break_watches()

    def come_back(self) -> None:
        self.away = False

    def __getattr__(self, plural: str) -> MemoryClient:
        if plural.startswith("_"):
            raise AttributeError(plural)
        return self._clients.setdefault(plural, MemoryClient(self, kinds.by_name(plural)))

    def resource(self, kind: Any) -> MemoryClient:
        found = kind if isinstance(kind, kinds.Kind) else kinds.of(kind)
        return getattr(self, found.plural)


class MemoryClient:
    def __init__(self, api: MemoryApi, kind: kinds.Kind) -> None:
        self._api = api
        self.kind = kind
        self.objects: dict[tuple[str, str], Any] = {}
        self._watchers: list[asyncio.Queue[WatchEvent[Any] | None]] = []

    def break_watches(self) -> None:
        for queue in self._watchers:
            queue.put_nowait(None)

    def _key(self, name: str, namespace: str) -> tuple[str, str]:
        return ((namespace or "default") if self.kind.namespaced else "", name)

    def _store(self, key: tuple[str, str], obj: Any, kind: Any) -> Any:
        self._api.revision += 1
        obj.metadata.resource_version = str(self._api.revision)
        if kind == DELETED:
            self.objects.pop(key, None)
        else:
            self.objects[key] = obj
        for queue in self._watchers:
            queue.put_nowait(WatchEvent(kind, _copy(obj), str(self._api.revision), False))
        return _copy(obj)

    async def get(self, name: str, *, namespace: str = "") -> Any:
        self._api.check()
        try:
            return _copy(self.objects[self._key(name, namespace)])
        except KeyError:
            raise NotFound(f"{self.kind.plural} {name} not found") from None

    async def list(self, *, namespace: str = "", label_selector: str = "", field_selector: str = "") -> list[Any]:
        return [_copy(each) for each in self.objects.values() if _matches(each, namespace, field_selector)]

    async def create(self, obj: Message, **_: Any) -> Any:
        self._api.check()
        fresh = _copy(obj)
        key = self._key(fresh.metadata.name, fresh.metadata.namespace)
        if key in self.objects:
            raise AlreadyExists(f"{self.kind.plural} {fresh.metadata.name} exists")
        fresh.metadata.namespace = key[0]
        fresh.metadata.uid = fresh.metadata.uid or str(uuid.uuid4())
        fresh.metadata.generation = 1
        fresh.metadata.creation_timestamp.CopyFrom(to_timestamp(datetime.now(UTC), whole_seconds=True))
        return self._store(key, fresh, ADDED)

    def _current(self, obj: Any) -> tuple[tuple[str, str], Any]:
        self._api.check()
        key = self._key(obj.metadata.name, obj.metadata.namespace)
        current = self.objects.get(key)
        if current is None:
            raise NotFound(f"{self.kind.plural} {obj.metadata.name} not found")
        version = obj.metadata.resource_version
        if version and version != current.metadata.resource_version:
            raise Conflict("the object has been modified")
        return key, current

    async def update(self, obj: Any, **_: Any) -> Any:
        key, current = self._current(obj)
        fresh = _copy(obj)
        if self.kind.has_status:
            fresh.status.CopyFrom(current.status)
            if fresh.spec != current.spec:
                fresh.metadata.generation = current.metadata.generation + 1
        return self._store(key, fresh, MODIFIED)

    async def apply(self, obj: Any, **_: Any) -> Any:
        self._api.check()
        key = self._key(obj.metadata.name, obj.metadata.namespace)
        return self._store(key, _copy(obj), MODIFIED if key in self.objects else ADDED)

    async def update_status(self, obj: Any, **_: Any) -> Any:
        key, current = self._current(obj)
        fresh = _copy(current)
        fresh.status.CopyFrom(obj.status)
        return self._store(key, fresh, MODIFIED)

    async def delete(
        self, name: str, *, namespace: str = "", uid: str | None = None, grace_period_s: int | None = None, **_: Any
    ) -> Any:
        self._api.check()
        key = self._key(name, namespace)
        current = self.objects.get(key)
        if current is None:
            raise NotFound(f"{self.kind.plural} {name} not found")
        if uid is not None and uid != current.metadata.uid:
            raise Conflict("uid")
        fresh = _copy(current)
        if self.kind.plural == "pods" and grace_period_s != 0:
            grace_s = grace_of(fresh) if grace_period_s is None else grace_period_s
            fresh.metadata.deletion_grace_period_seconds = grace_s
            fresh.metadata.deletion_timestamp.CopyFrom(to_timestamp(datetime.now(UTC), whole_seconds=True))
            return self._store(key, fresh, MODIFIED)
        return self._store(key, fresh, DELETED)

    async def watch(
        self,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        **_: Any,
    ) -> AsyncIterator[WatchEvent[Any]]:
        self._api.check()
        queue: asyncio.Queue[WatchEvent[Any] | None] = asyncio.Queue()
        if resource_version:
            # It keeps no history: whoever resumes must read everything again.
            raise Expired("too old")
        existing = [_copy(each) for each in self.objects.values()]
        self._watchers.append(queue)
        revision = str(self._api.revision)
        try:
            for each in existing:
                if _matches(each, namespace, field_selector):
                    yield WatchEvent(ADDED, each, each.metadata.resource_version, False)
            yield WatchEvent(BOOKMARK, None, revision, True)
            while True:
                event = await queue.get()
                if event is None:
                    raise Unavailable("the apiserver went away")
                if _matches(event.object, namespace, field_selector):
                    yield event
        finally:
            self._watchers.remove(queue)


def _matches(obj: Any, namespace: str, field_selector: str) -> bool:
    if namespace and obj.metadata.namespace != namespace:
        return False
    for term in filter(None, field_selector.split(",")):
        path, _, value = term.partition("=")
        found = {
            "metadata.name": lambda: obj.metadata.name,
            "metadata.namespace": lambda: obj.metadata.namespace,
            "spec.nodeName": lambda: obj.spec.node_name,
        }[path]()
        if found != value:
            return False
    return True
