"""What somebody may try, by accident or on purpose."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from steersman import errors
from steersman.client import Api
from steersman.core.v1 import Node, Taint
from steersman.meta.v1 import JSON_PATCH

from apiserver import errors as domain
from tests.apiserver.conftest import Served
from tests.apiserver.objects import config_map, deployment, pod, service
from tests.waiting import eventually


async def test_a_service_cannot_take_anothers_address_by_the_back_door(api: Api) -> None:
    made = await api.services.create(service())
    for addresses in (["10.96.0.1"], [made.spec.cluster_ip, "10.96.0.1"]):
        del made.spec.cluster_ips[:]
        made.spec.cluster_ips.extend(addresses)
        made.metadata.resource_version = ""
        with pytest.raises(errors.Invalid, match="clusterIPs: must hold"):
            await api.services.update(made)
    sneaky = service("sneaky")
    sneaky.spec.cluster_ips.append("10.96.0.1")
    with pytest.raises(errors.Conflict, match="is given to another"):
        await api.services.create(sneaky)


async def test_proposed_addresses_never_collide_for_the_caller(api: Api) -> None:
    made = await asyncio.gather(*(api.services.create(service(f"s{i}")) for i in range(60)))
    assert len({one.spec.cluster_ip for one in made}) == 60


async def test_a_patch_that_copies_copies_is_stopped(api: Api) -> None:
    await api.configmaps.create(config_map(a="x" * 1000))
    bomb = [{"op": "copy", "from": "", "path": f"/data/x{i}"} for i in range(60)]
    with pytest.raises(errors.Invalid, match="copies more than"):
        await api.configmaps.patch("c", json.dumps(bomb).encode(), type=JSON_PATCH)


async def test_a_write_that_may_have_happened_is_not_repeated(served: Served, api: Api) -> None:
    await api.configmaps.create(config_map(a="1"))
    storage: Any = served.storage
    update = storage.update
    lost: list[int] = []

    async def answer_is_lost(*arguments: Any, **more: Any) -> int:
        lost.append(await update(*arguments, **more))
        raise domain.StorageUnavailable("the answer was lost")

    storage.update = answer_is_lost
    try:
        step = [{"op": "add", "path": "/metadata/annotations", "value": {"n": "1"}}]
        with pytest.raises(errors.Unavailable):
            await api.configmaps.patch("c", json.dumps(step).encode(), type=JSON_PATCH)
    finally:
        storage.update = update
    assert len(lost) == 1


async def test_an_object_that_was_read_can_be_applied_again(api: Api) -> None:
    made = await api.deployments.apply(deployment(), field_manager="one")
    made.status.replicas = 3
    shown = await api.deployments.update_status(made, field_manager="deployment-controller")
    shown.metadata.resource_version = ""
    shown.status.replicas = 1
    again = await api.deployments.apply(shown, field_manager="one")
    assert again.status.replicas == 3


async def test_the_record_of_owners_is_not_a_writers_to_make(api: Api) -> None:
    made = await api.configmaps.create(config_map(a="1"))
    made.metadata.managed_fields.add(manager="m", operation="Update").fields_v1.raw = b"[1]"
    changed = await api.configmaps.update(made)
    assert not changed.metadata.managed_fields
    assert (await api.configmaps.patch("c", b'{"data":{"b":"2"}}')).data["b"] == "2"


async def test_a_grace_period_beyond_all_time_is_refused(api: Api) -> None:
    endless = pod(node="n1")
    endless.spec.termination_grace_period_seconds = 2**40
    with pytest.raises(errors.Invalid, match="ten years"):
        await api.pods.create(endless)
    await api.pods.create(pod(node="n1"))
    going = await api.pods.delete("p", grace_period_s=2**62)
    assert going.metadata.deletion_timestamp.seconds == 253402300799
    assert (await api.pods.patch("p", b'{"metadata":{"labels":{"a":"b"}}}')).metadata.labels["a"] == "b"


async def test_a_watch_from_a_revision_of_nobody_is_told_so(served: Served, api: Api) -> None:
    with pytest.raises(errors.Expired):
        await anext(api.configmaps.watch(resource_version="500000"))


async def test_a_stray_value_in_the_store_costs_nobody_else_anything(served: Served, api: Api) -> None:
    watch = api.configmaps.watch()
    assert (await anext(watch)).initial_state_end
    await served.storage.create("/registry/configmaps/default/stray", b"\xff\xff\xff")
    await api.configmaps.create(config_map("fine"))
    event = await anext(watch)
    assert event.object is not None
    assert event.object.metadata.name == "fine"
    await watch.aclose()


async def test_many_large_objects_are_listed_and_deleted_in_pieces(api: Api) -> None:
    for index in range(20):
        await api.configmaps.create(config_map(f"c{index:02}", a="x" * 1_000_000))
    assert len(await api.configmaps.list(namespace="default")) == 20
    assert await api.configmaps.delete_collection(namespace="default")
    assert await api.configmaps.list(namespace="default") == []


async def test_names_cannot_reach_out_of_their_place(api: Api) -> None:
    for name, namespace in (("a/b", "default"), ("..", "x/y"), ("", "default")):
        with pytest.raises(errors.Invalid):
            await api.configmaps.get(name, namespace=namespace)
    with pytest.raises(errors.Invalid):
        await api.configmaps.list(namespace="a/b")


async def test_proxies_see_no_secrets_and_nodes_keep_their_taints(served: Served, api: Api) -> None:
    proxy = served.as_user("system:kube-proxy", "system:node-proxier")
    assert await proxy.services.list()
    for forbidden in (proxy.secrets.list(), proxy.configmaps.list(), proxy.pods.list()):
        with pytest.raises(errors.Forbidden):
            await forbidden
    impostor = served.as_user("mallory", "system:nodes")
    with pytest.raises(errors.Forbidden):
        await impostor.nodes.list()
    node = Node()
    node.metadata.name = "n1"
    node.spec.taints.append(Taint(key="example.org/a", effect="NoExecute"))
    made = await api.nodes.create(node)
    n1 = served.as_user("system:node:n1", "system:nodes")
    made.metadata.labels["fine"] = "yes"
    made = await n1.nodes.update(made)
    del made.spec.taints[:]
    with pytest.raises(errors.Forbidden, match="its own taints"):
        await n1.nodes.update(made)
    made = await api.nodes.get("n1")
    made.metadata.labels["node-restriction.kubernetes.io/zone"] = "x"
    with pytest.raises(errors.Forbidden, match="not the node's to change"):
        await n1.nodes.update(made)


async def test_a_cache_that_ends_is_noticed(served: Served) -> None:
    ended = asyncio.create_task(served.apiserver.ended())
    next(task for task in served.apiserver._tasks if "configmaps" in task.get_name()).cancel()
    await eventually(ended.done)
    with pytest.raises(RuntimeError, match="cache configmaps has ended"):
        ended.result()
