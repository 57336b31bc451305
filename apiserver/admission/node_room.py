"""NodeRoom: a pod is bound only where there is room for it, whoever else binds pods at the same moment.

Schedulers decide on what they have seen, so two of them may fill one node twice. Here every binding to a node replaces
one key of that node's in its own transaction. Whoever has counted the node's pods as of that key's last change
therefore binds on top of nothing that it has not counted; who has not is refused by the store, counts again, and finds
out. Neither several schedulers nor several apiservers can overcommit a node by bindings. A pod that is made with a
node's name in it is not bound by anybody, and is the business of whoever made it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from steersman.selectors import IN, Requirement, Selector

from apiserver import errors, room
from apiserver.admission.port import UPDATE, Admission, Charge, Put
from apiserver.registry import Registry
from apiserver.room import Amounts
from apiserver.storage.port import Guarded, KeyChanged, KeyExists, Storage
from apiserver.watchcache.watcher import Selection

PREFIX = "/registry/bindings/"
ATTEMPTS = 64
# Pods that have ended hold nothing.
ENDED = ("Succeeded", "Failed")


class NodeRoom:
    """Finds bindings among the writes of pods; `_Seat.settle` stores them."""

    def __init__(self, pods: Registry, nodes: Registry, storage: Storage) -> None:
        self._pods = pods
        self._nodes = nodes
        self._storage = storage
        self._tallies: dict[str, _Tally] = {}

    async def admit(self, write: Admission) -> None:
        """See `Plugin.admit`."""
        if write.kind is not self._pods.kind or write.operation != UPDATE or write.old is None:
            return
        if write.obj.spec.node_name and not write.old.spec.node_name:
            name = write.obj.spec.node_name
            tally = self._tallies.get(name)
            if tally is None:
                tally = self._tallies[name] = _Tally(name, self._pods, self._nodes, self._storage)
            write.charge = _Seat(tally, write, self._pods.key(write.obj.metadata.namespace, write.obj.metadata.name))


class _Tally:
    """What is known of one node: its last binding, and what its pods take."""

    def __init__(self, node: str, pods: Registry, nodes: Registry, storage: Storage) -> None:
        self.node = node
        self.key = PREFIX + node
        # One at a time from here; others are noticed by the store.
        self.turn = asyncio.Lock()
        # Revision of the last binding that has been counted; None: it must be looked up.
        self.revision: int | None = None
        self._pods = pods
        self._nodes = nodes
        self._storage = storage
        self._selection = Selection(fields=Selector((Requirement("spec.nodeName", IN, frozenset([node])),)))
        self._known: dict[str, tuple[int, Amounts]] = {}
        # Bound by us, and not yet come back.
        self._fresh: dict[str, tuple[int, Amounts]] = {}
        self._offered: tuple[int, Amounts] = (0, {})

    async def guard(self, pod: str, value: bytes, asked: Amounts) -> Guarded:
        """What has to be unchanged for a pod's binding to be one for which there is room.

        Raises:
            NodeFull: there is none.
            StorageUnavailable: what is on the node cannot be told now.
        """
        if self.revision is None:
            self.revision = await self._last_binding()
            if not await self._pods.cache.reaches(self.revision):
                self.revision = None
                raise errors.StorageUnavailable("the pods of the node cannot be told just now")
        room.check(pod, self.node, asked, self._offer(), self._taken())
        return Guarded(self.key, value, self.revision)

    def bound(self, key: str, revision: int, asked: Amounts) -> None:
        """A binding of ours has been stored."""
        self.revision = revision
        self._fresh[key] = (revision, asked)

    async def _last_binding(self) -> int:
        while True:
            stored = await self._storage.get(self.key)
            if stored is not None:
                return stored.revision
            try:
                return await self._storage.create(self.key, b"")
            except KeyExists:
                continue

    def _offer(self) -> Amounts:
        entry = self._nodes.cache.get(self._nodes.key("", self.node))
        if entry is None:
            return {}
        if entry.revision != self._offered[0]:
            self._offered = (entry.revision, room.offered_by(self._nodes.kind.message.FromString(entry.data)))
        return self._offered[1]

    def _taken(self) -> list[Amounts]:
        """What each pod on the node takes; a pod is read again only when it has changed."""
        known: dict[str, tuple[int, Amounts]] = {}
        cache = self._pods.cache
        for key, entry in cache.select(self._selection):
            if entry.fields.get("status.phase") in ENDED:
                continue
            before = self._known.get(key)
            if before is not None and before[0] == entry.revision:
                known[key] = before
            else:
                known[key] = (entry.revision, room.taken_by(self._pods.kind.message.FromString(entry.data)))
        self._known = known
        self._fresh = {key: each for key, each in self._fresh.items() if each[0] > cache.revision}
        return [amounts for _, amounts in {**known, **self._fresh}.values()]


class _Seat:
    """One pod's place on its node, beside whatever else its write costs."""

    def __init__(self, tally: _Tally, write: Admission, key: str) -> None:
        self._tally = tally
        self._inner: Charge | None = write.charge
        self._name = write.obj.metadata.name
        self._key = key
        self._asked = room.taken_by(write.obj)

    async def settle(self, put: Put) -> int:
        """Stores the binding by `put` if there is room; counts again when somebody else bound to the node meanwhile.

        Raises:
            NodeFull: there is no room.
            Whatever `put` raises.
        """
        tally = self._tally
        async with tally.turn:
            for _ in range(ATTEMPTS):
                guard = await tally.guard(self._name, self._key.encode(), self._asked)
                try:
                    revision = await self._put(put, guard)
                except KeyChanged as error:
                    if error.key != guard.key:
                        raise
                    tally.revision = None
                except BaseException:
                    # It may have happened.
                    tally.revision = None
                    raise
                else:
                    tally.bound(self._key, revision, self._asked)
                    return revision
        raise errors.Conflicting("pods", self._name, f"pods are bound to node {tally.node!r} by others all the time")

    async def _put(self, put: Put, guard: Guarded) -> int:
        if self._inner is None:
            return await put((guard,))

        async def both(guards: Sequence[Guarded]) -> int:
            return await put((*guards, guard))

        return await self._inner.settle(both)
