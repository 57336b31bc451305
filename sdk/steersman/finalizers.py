"""Finalizers: names on an object that keep it, once it is deleted, until those who put them there are done with it."""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf.message import Message

from steersman import errors
from steersman.resource import ResourceClient

M = TypeVar("M", bound=Message)


def is_going(obj: Any) -> bool:
    """Whether the object has been deleted and only waits for its finalizers or its pods' grace."""
    return bool(obj.metadata.HasField("deletion_timestamp"))


def has(obj: Any, finalizer: str) -> bool:
    """Whether the object carries a finalizer."""
    return finalizer in obj.metadata.finalizers


async def add(client: ResourceClient[M], obj: Any, finalizer: str) -> M:
    """Puts a finalizer on an object, whatever else is changed on it meanwhile; returns it as it is then. Idempotent.

    Raises:
        Conflict: the object is another one by now, or is being deleted: nobody may put a finalizer on it any more.
        NotFound: it is gone.
    """

    def change(found: Any) -> None:
        if found.metadata.uid != obj.metadata.uid:
            raise errors.Conflict(f"{client.kind.singular}/{obj.metadata.name} is another one by now")
        if finalizer in found.metadata.finalizers:
            return
        if is_going(found):
            raise errors.Conflict(f"{client.kind.singular}/{obj.metadata.name} is being deleted")
        found.metadata.finalizers.append(finalizer)

    return await client.modify(obj.metadata.name, change, namespace=obj.metadata.namespace)


async def remove(client: ResourceClient[M], obj: Any, finalizer: str) -> None:
    """Takes a finalizer off an object; an object that is deleted and has no other goes. Idempotent."""

    def change(found: Any) -> None:
        if found.metadata.uid != obj.metadata.uid or finalizer not in found.metadata.finalizers:
            return
        kept = [name for name in found.metadata.finalizers if name != finalizer]
        del found.metadata.finalizers[:]
        found.metadata.finalizers.extend(kept)

    try:
        await client.modify(obj.metadata.name, change, namespace=obj.metadata.namespace)
    except errors.NotFound:
        return
