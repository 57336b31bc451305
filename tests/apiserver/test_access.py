"""Who may connect, and who may do what."""

from __future__ import annotations

import pytest
from steersman import errors
from steersman.client import Api
from steersman.coordination.v1 import Lease
from steersman.core.v1 import Node

from tests.apiserver.conftest import Served
from tests.apiserver.objects import config_map, pod


async def test_without_a_certificate_nobody_is_known(served: Served) -> None:
    for api in (served.without_certificate(), served.without_certificate("forged")):
        with pytest.raises(errors.Unauthenticated):
            await api.pods.list()
        with pytest.raises(errors.Unauthenticated):
            await anext(api.pods.watch())


async def test_a_known_user_without_rights_may_do_nothing(served: Served) -> None:
    mallory = served.as_user("mallory")
    for call in (
        mallory.pods.list(),
        mallory.namespaces.list(),
        mallory.pods.create(pod()),
        mallory.secrets.get("x", namespace="default"),
    ):
        with pytest.raises(errors.Forbidden) as caught:
            await call
        assert caught.value.facts["user"] == "mallory"
    with pytest.raises(errors.Forbidden):
        await anext(mallory.secrets.watch())


async def test_a_name_like_a_nodes_is_not_enough_to_be_one(served: Served) -> None:
    with pytest.raises(errors.Forbidden):
        await served.as_user("system:node:n1").pods.list()


def lease(name: str, namespace: str = "kube-node-lease") -> Lease:
    made = Lease()
    made.metadata.name, made.metadata.namespace = name, namespace
    return made


async def test_a_node_keeps_to_itself(served: Served, api: Api) -> None:
    n1 = served.as_user("system:node:n1", "system:nodes")
    node = Node()
    node.metadata.name = "n1"
    await n1.nodes.create(node)
    node.metadata.name = "n2"
    with pytest.raises(errors.Forbidden, match="only itself"):
        await n1.nodes.create(node)
    await n1.leases.create(lease("n1"))
    for other in (lease("n2"), lease("n1", "default")):
        with pytest.raises(errors.Forbidden):
            await n1.leases.create(other)
    mine, other = await api.pods.create(pod("a", node="n1")), await api.pods.create(pod("b", node="n2"))
    mine.status.phase = other.status.phase = "Running"
    assert (await n1.pods.update_status(mine)).status.phase == "Running"
    with pytest.raises(errors.Forbidden, match="not bound to this node"):
        await n1.pods.update_status(other)
    patched = await n1.pods.patch("a", b'{"status":{"message":"m"}}', subresource="status")
    assert patched.status.message == "m"
    with pytest.raises(errors.Forbidden, match="patch pods: no rule"):
        await n1.pods.patch("a", b'{"metadata":{"labels":{"a":"b"}}}')
    with pytest.raises(errors.Forbidden):
        await n1.pods.update(mine)
    with pytest.raises(errors.Forbidden):
        await n1.configmaps.create(config_map())


async def test_what_every_cluster_has_is_there(api: Api) -> None:
    names = [namespace.metadata.name for namespace in await api.namespaces.list()]
    assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]
    endpoints = await api.endpointslices.get("kubernetes", namespace="default")
    assert [list(endpoint.addresses) for endpoint in endpoints.endpoints] == [["192.0.2.1"]]
