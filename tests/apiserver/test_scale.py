"""The scale of everything that can be scaled."""

from __future__ import annotations

from typing import Any

import pytest
from steersman import errors, selectors
from steersman.autoscaling.v1 import Scale
from steersman.client import Api
from steersman.manifests import codec

from tests import manifests

SCALABLE = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("v1", "ReplicationController"),
]


async def make(api: Api, api_version: str, kind: str) -> tuple[Any, Any]:
    obj: Any = codec.decode_object(manifests.of(api_version, kind))
    obj.metadata.namespace = "default"
    client: Any = api.resource(type(obj))
    return client, await client.create(obj)


@pytest.mark.parametrize(("api_version", "kind"), SCALABLE)
async def test_a_scale_is_read_and_written(api: Api, api_version: str, kind: str) -> None:
    client, made = await make(api, api_version, kind)
    made.status.replicas = 1
    made = await client.update_status(made)
    scale = await client.get_scale(made.metadata.name)
    assert (scale.metadata.uid, scale.metadata.resource_version) == (made.metadata.uid, made.metadata.resource_version)
    assert (scale.spec.replicas, scale.status.replicas) == (made.spec.replicas, 1)
    assert selectors.parse(scale.status.selector).matches(made.spec.template.metadata.labels)
    scale.spec.replicas = 7
    scale.status.replicas = 99
    written = await client.update_scale(scale)
    assert (written.spec.replicas, written.status.replicas) == (7, 1)
    stored = await client.get(made.metadata.name)
    assert (stored.spec.replicas, stored.metadata.generation) == (7, 2)
    assert written.metadata.resource_version == stored.metadata.resource_version


async def test_a_scale_is_of_one_object_at_one_version(api: Api) -> None:
    client, made = await make(api, "apps/v1", "StatefulSet")
    scale: Scale = await client.get_scale(made.metadata.name)
    scale.spec.replicas = 4
    await client.update_scale(scale)
    with pytest.raises(errors.Conflict):
        await client.update_scale(scale)
    scale.metadata.resource_version = ""
    assert (await client.update_scale(scale)).spec.replicas == 4
    scale.metadata.uid = "another"
    with pytest.raises(errors.Conflict):
        await client.update_scale(scale)


async def test_what_is_wrong_with_a_scale(api: Api) -> None:
    client, made = await make(api, "apps/v1", "Deployment")
    with pytest.raises(errors.NotFound):
        await client.get_scale("none")
    scale = await client.get_scale(made.metadata.name)
    scale.spec.replicas = -1
    with pytest.raises(errors.Invalid, match="negative"):
        await client.update_scale(scale)
    scale.spec.replicas = 9
    assert (await client.update_scale(scale, dry_run=True)).spec.replicas == 9
    assert (await client.get(made.metadata.name)).spec.replicas == made.spec.replicas


async def test_what_has_no_replicas_has_no_scale(api: Api) -> None:
    with pytest.raises(errors.ApiError):
        await api.daemonsets.get_scale("any")


@pytest.mark.parametrize("text", ["a=b", "a in (b,c)", "!a", "a", "a notin (b)", "a=b,c in (d,e),!f"])
def test_a_selector_is_written_as_it_is_read(text: str) -> None:
    selector = selectors.parse(text)
    assert str(selector) == text
    assert selectors.parse(str(selector)) == selector
