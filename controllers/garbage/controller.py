"""Observes every kind, and deletes or releases what has lost its owners."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import structlog
from steersman import errors, kinds
from steersman.client import ResourceClient
from steersman.informer import Informer, Key, key_of
from steersman.kinds import Kind
from steersman.reconcile import Controller, Result
from steersman.runtime import Runtime

from controllers.garbage import plan as planning
from controllers.garbage.plan import FOREGROUND, ORPHAN, Fate, OwnerState

log = structlog.get_logger(__name__)

MANAGER = "generic-garbage-collector"
BY_OWNER, BY_UID = "owner-uid", "uid"


class Item(NamedTuple):
    """One object of any kind."""

    service: str
    key: Key


class GarbageCollector:
    """Follows owners and dependents over all kinds."""

    def __init__(self, runtime: Runtime, collected: Iterable[Kind]) -> None:
        self._api = runtime.api
        informers: dict[Kind, Informer[Any]] = {kind: runtime.informer(kind) for kind in collected}
        self._informers = {kind.service: informer for kind, informer in informers.items()}
        self._kinds = {kind.service: kind for kind in informers}
        self.controller: Controller[Item] = Controller(
            "garbage", self.reconcile, workers=8, clock=runtime.clock, metrics=runtime.metrics
        )
        runtime.add(self.controller)
        for kind, informer in informers.items():
            informer.add_index(BY_OWNER, lambda obj: [o.uid for o in obj.metadata.owner_references])
            informer.add_index(BY_UID, lambda obj: [obj.metadata.uid])
            informer.on_change(lambda old, new, kind=kind: self._changed(kind, old, new))  # type: ignore[misc]

    def _changed(self, kind: Kind, old: Any | None, new: Any | None) -> None:
        obj: Any = new if new is not None else old
        if new is not None and (
            new.metadata.owner_references or planning.waits_for_dependents(new) or planning.leaves_orphans(new)
        ):
            self.controller.enqueue(Item(kind.service, key_of(new)))
        if new is None or planning.waits_for_dependents(obj):
            for item in self._dependents(obj.metadata.uid):
                self.controller.enqueue(item)
        if new is None and old is not None:
            # An owner that waits for its dependents may have lost the last one.
            for reference in old.metadata.owner_references:
                owner = self._owner_item(reference, old.metadata.namespace)
                if owner is not None:
                    self.controller.enqueue(owner)

    def _dependents(self, uid: str) -> list[Item]:
        return [
            Item(service, key_of(obj))
            for service, informer in self._informers.items()
            for obj in informer.by_index(BY_OWNER, uid)
        ]

    def _owner_item(self, reference: Any, namespace: str) -> Item | None:
        try:
            kind = kinds.by_api(reference.api_version, reference.kind)
        except kinds.UnknownKindError:
            return None
        if kind.service not in self._informers or (kind.namespaced and not namespace):
            # What has no namespace cannot belong to what has one: nothing follows from such a reference.
            return None
        return Item(kind.service, Key(namespace if kind.namespaced else "", reference.name))

    async def reconcile(self, item: Item) -> Result | None:
        """Decides about one object as an owner, and as a dependent."""
        obj = self._informers[item.service].get(item.key)
        if obj is None:
            return None
        if planning.leaves_orphans(obj):
            await self._orphan_dependents(obj)
            await self._drop_finalizer(item, obj, ORPHAN)
            return None
        if planning.waits_for_dependents(obj):
            return await self._finish_foreground(item, obj)
        states: dict[str, OwnerState] = {}
        for reference in obj.metadata.owner_references:
            states[reference.uid] = await self._state(reference, item.key.namespace)
        decided = planning.fate(obj, lambda reference: states[reference.uid])
        match decided:
            case Fate.DELETE | Fate.DELETE_FOREGROUND:
                policy = "Foreground" if decided is Fate.DELETE_FOREGROUND else "Background"
                await self._delete(item, obj, policy)
            case Fate.DROP_REFERENCES:
                lost = {uid for uid, state in states.items() if state is not OwnerState.PRESENT}
                await self._drop_references(item, obj, lost)
        return None

    async def _state(self, reference: Any, namespace: str) -> OwnerState:
        """The state of an owner; before it counts as absent the apiserver is asked, as a cache may lag."""
        item = self._owner_item(reference, namespace)
        if item is None:
            # A kind that is not known here: nothing says that the owner is gone.
            return OwnerState.PRESENT
        owner = self._informers[item.service].get(item.key)
        if owner is None or owner.metadata.uid != reference.uid:
            try:
                client: ResourceClient[Any] = self._api.resource(self._kinds[item.service])
                owner = await client.get(item.key.name, namespace=item.key.namespace)
            except errors.NotFound:
                return OwnerState.ABSENT
        if owner.metadata.uid != reference.uid:
            return OwnerState.ABSENT
        return OwnerState.WAITING if planning.waits_for_dependents(owner) else OwnerState.PRESENT

    async def _finish_foreground(self, item: Item, obj: Any) -> Result | None:
        uid = obj.metadata.uid
        held = False
        for dependent in self._dependents(uid):
            found = self._informers[dependent.service].get(dependent.key)
            if found is not None:
                held = held or planning.blocks(found, uid)
                self.controller.enqueue(dependent)
        if not held:
            await self._drop_finalizer(item, obj, FOREGROUND)
        return None

    async def _orphan_dependents(self, owner: Any) -> None:
        for dependent in self._dependents(owner.metadata.uid):
            obj = self._informers[dependent.service].get(dependent.key)
            if obj is not None:
                await self._drop_references(dependent, obj, {owner.metadata.uid})

    async def _drop_references(self, item: Item, obj: Any, uids: set[str]) -> None:
        changed = type(obj)()
        changed.CopyFrom(obj)
        kept = planning.without_owners(obj.metadata.owner_references, uids)
        del changed.metadata.owner_references[:]
        changed.metadata.owner_references.extend(kept)
        try:
            await self._api.resource(self._kinds[item.service]).update(changed, field_manager=MANAGER)
        except errors.NotFound:
            return

    async def _drop_finalizer(self, item: Item, obj: Any, finalizer: str) -> None:
        changed = type(obj)()
        changed.CopyFrom(obj)
        del changed.metadata.finalizers[:]
        changed.metadata.finalizers.extend(name for name in obj.metadata.finalizers if name != finalizer)
        try:
            await self._api.resource(self._kinds[item.service]).update(changed, field_manager=MANAGER)
        except errors.NotFound:
            return

    async def _delete(self, item: Item, obj: Any, policy: str) -> None:
        log.info("collecting", kind=self._kinds[item.service].kind, object=str(item.key), policy=policy)
        try:
            await self._api.resource(self._kinds[item.service]).delete(
                item.key.name, namespace=item.key.namespace, uid=obj.metadata.uid, propagation_policy=policy
            )
        except (errors.NotFound, errors.Conflict):
            return
