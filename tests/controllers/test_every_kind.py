"""A namespace goes with everything in it, of whatever kind."""

from __future__ import annotations

from typing import Any

from steersman import errors, kinds
from steersman.client import Api
from steersman.core.v1 import Namespace
from steersman.manifests import codec

from tests import manifests
from tests.waiting import eventually

HERE = "full"


def objects() -> list[Any]:
    """Objects of every kind that lives in namespaces; what bounds others comes after them."""
    made = []
    for document in manifests.documents():
        if kinds.by_api(document["apiVersion"], document["kind"]).namespaced:
            obj: Any = codec.decode_object(document)
            obj.metadata.namespace = HERE
            for about in ("involved_object", "regarding"):
                if about in obj.DESCRIPTOR.fields_by_name:
                    getattr(obj, about).namespace = HERE
            made.append(obj)
    return made


async def test_a_namespace_with_an_object_of_every_kind_is_emptied_and_goes(running: Api) -> None:
    namespace = Namespace()
    namespace.metadata.name = HERE
    await running.namespaces.create(namespace)
    for obj in objects():
        await running.resource(type(obj)).create(obj)
    await running.namespaces.delete(HERE)

    async def gone() -> bool:
        try:
            await running.namespaces.get(HERE)
        except errors.NotFound:
            return True
        return False

    await eventually(gone, 30)
    for kind in kinds.every():
        if kind.namespaced:
            assert await running.resource(kind).list(namespace=HERE) == []
