"""All control loops together, on a real apiserver."""

from __future__ import annotations

import asyncio
from typing import Any

from steersman import errors
from steersman.client import Api
from steersman.clock import RealClock, to_timestamp
from steersman.coordination.v1 import Lease
from steersman.core.v1 import Node, Pod, Taint

from tests.apiserver.objects import config_map, deployment, namespace, pod, service
from tests.waiting import eventually


async def pods(api: Api) -> list[Pod]:
    return [one for one in await api.pods.list(namespace="default") if not one.metadata.HasField("deletion_timestamp")]


async def make_ready(api: Api, address: str = "10.244.0.{}") -> None:
    """Plays the node: every pod runs and is ready."""
    for index, one in enumerate(await pods(api)):
        if one.status.phase != "Running":
            one.status.phase = "Running"
            one.status.pod_ip = address.format(index + 1)
            condition = one.status.conditions.add(type="Ready", status="True")
            condition.last_transition_time.CopyFrom(to_timestamp(RealClock().now()))
            one.metadata.resource_version = ""
            await api.pods.update_status(one)


async def heartbeat(api: Api, name: str) -> None:
    """Plays the node: it is ready, and says so."""
    lease = Lease()
    lease.metadata.name, lease.metadata.namespace = name, "kube-node-lease"
    lease.spec.renew_time.CopyFrom(to_timestamp(RealClock().now()))
    await api.leases.apply(lease, field_manager=name, force=True)


async def register(api: Api, name: str) -> Node:
    node = Node()
    node.metadata.name = name
    node.status.conditions.add(type="Ready", status="True")
    made = await api.nodes.create(node)
    await heartbeat(api, name)
    return made


async def test_a_deployment_becomes_pods_and_endpoints(running: Api) -> None:
    made = service("d")
    made.spec.selector["app"] = "d"
    await running.services.create(made)
    await running.deployments.create(deployment(replicas=3))
    await eventually(lambda: _count(running, 3))
    await make_ready(running)

    async def endpoints() -> bool:
        slices = await running.endpointslices.list(label_selector="kubernetes.io/service-name=d")
        return sum(e.conditions.ready for one in slices for e in one.endpoints) == 3

    await eventually(endpoints)

    async def available() -> bool:
        status = (await running.deployments.get("d")).status
        return status.available_replicas == 3 and status.updated_replicas == 3

    await eventually(available)


async def _count(api: Api, wanted: int) -> bool:
    return len(await pods(api)) == wanted


async def test_scaling_is_exact_however_often_it_changes(running: Api) -> None:
    await running.deployments.create(deployment(replicas=1))
    for replicas in (7, 2, 9, 0, 4):
        await running.deployments.scale("d", replicas)

    async def settled() -> bool:
        [found] = await running.replicasets.list()
        observed = found.status.observed_generation == found.metadata.generation
        return found.spec.replicas == found.status.replicas == 4 and observed and await _count(running, 4)

    await eventually(settled)


async def test_what_is_owned_goes_with_its_owner(running: Api) -> None:
    await running.deployments.create(deployment(replicas=2))
    await eventually(lambda: _count(running, 2))
    await running.deployments.delete("d", propagation_policy="Foreground")
    await eventually(lambda: _gone(running.deployments.get("d")))
    assert await pods(running) == []
    assert await running.replicasets.list() == []


async def _gone(call: Any) -> bool:
    try:
        await call
    except errors.NotFound:
        return True
    return False


async def test_orphans_stay_and_are_adopted_again(running: Api) -> None:
    await running.deployments.create(deployment(replicas=2))
    await eventually(lambda: _count(running, 2))
    before = {one.metadata.uid for one in await pods(running)}
    await running.deployments.delete("d", propagation_policy="Orphan")
    await eventually(lambda: _gone(running.deployments.get("d")))
    assert {one.metadata.uid for one in await pods(running)} == before
    await running.deployments.create(deployment(replicas=2))

    async def adopted() -> bool:
        [found] = await running.replicasets.list()
        return any(owner.controller for owner in found.metadata.owner_references)

    await eventually(adopted)
    assert {one.metadata.uid for one in await pods(running)} == before


async def test_a_circle_of_owners_is_collected(running: Api) -> None:
    made = [await running.configmaps.create(config_map(name)) for name in ("a", "b", "c")]
    for one, owner in zip(made, [*made[1:], made[0]], strict=True):
        one.metadata.owner_references.add(
            api_version="v1", kind="ConfigMap", name=owner.metadata.name, uid=owner.metadata.uid
        )
        await running.configmaps.update(one)
    await running.configmaps.delete("a")

    async def empty() -> bool:
        return not await running.configmaps.list(namespace="default")

    await eventually(empty)


async def test_a_cluster_wide_object_is_not_lost_to_a_reference_that_makes_no_sense(running: Api) -> None:
    node = Node()
    node.metadata.name = "n1"
    node.metadata.owner_references.add(api_version="v1", kind="ConfigMap", name="none", uid="u")
    await running.nodes.create(node)
    await running.configmaps.create(config_map("mark"))
    # By the time that another node has its range, the collector has seen this one.
    await register(running, "n2")
    await eventually(lambda: _has_range(running, "n2"))
    assert (await running.nodes.get("n1")).metadata.name == "n1"


async def _has_range(api: Api, name: str) -> bool:
    return bool((await api.nodes.get(name)).spec.pod_cidr)


async def test_a_namespace_is_emptied(running: Api) -> None:
    await running.namespaces.create(namespace("brief"))
    for name in ("a", "b"):
        await running.configmaps.create(config_map(name, "brief"))
    await running.namespaces.delete("brief")
    await eventually(lambda: _gone(running.namespaces.get("brief")))
    assert await running.configmaps.list(namespace="brief") == []


async def test_nodes_get_ranges_of_their_own(running: Api) -> None:
    for index in range(5):
        await register(running, f"n{index}")
    for index in range(5):
        await eventually(lambda name=f"n{index}": _has_range(running, name))
    ranges = [node.spec.pod_cidr for node in await running.nodes.list()]
    assert len(set(ranges)) == 5


async def test_a_silent_node_is_tainted_its_pods_leave_and_it_may_come_back(running: Api) -> None:
    await register(running, "n1")
    await running.pods.create(pod("stays", node="n1"))
    hasty = pod("leaves", node="n1")
    hasty.spec.tolerations.add(
        key="node.kubernetes.io/unreachable", operator="Exists", effect="NoExecute", toleration_seconds=0
    )
    await running.pods.create(hasty)
    await make_ready(running)

    async def unreachable() -> bool:
        node = await running.nodes.get("n1")
        return any(taint.key.endswith("unreachable") for taint in node.spec.taints)

    await eventually(unreachable)

    async def left() -> bool:
        return [one.metadata.name for one in await pods(running)] == ["stays"]

    await eventually(left)

    async def not_ready() -> bool:
        [one] = await pods(running)
        return any(c.type == "Ready" and c.status == "False" for c in one.status.conditions)

    await eventually(not_ready)
    beating = asyncio.create_task(_beat(running))

    async def clean() -> bool:
        node = await running.nodes.get("n1")
        ready = next(c for c in node.status.conditions if c.type == "Ready")
        if ready.status != "True":
            ready.status = "True"
            node.metadata.resource_version = ""
            await running.nodes.update_status(node)
        return not node.spec.taints

    try:
        await eventually(clean)
    finally:
        beating.cancel()


async def _beat(api: Api) -> None:
    clock = RealClock()
    while True:
        await heartbeat(api, "n1")
        await clock.sleep(0.2)


async def test_patience_with_a_persons_taint_counts_from_when_it_is_seen(running: Api) -> None:
    node = await register(running, "n1")
    beating = asyncio.create_task(_beat(running))
    try:
        patient = pod("patient", node="n1")
        patient.spec.tolerations.add(key="example.org/x", operator="Exists", effect="NoExecute", toleration_seconds=300)
        await running.pods.create(patient)
        await running.pods.create(pod("hasty", node="n1"))
        node = await running.nodes.get("n1")
        node.spec.taints.append(Taint(key="example.org/x", effect="NoExecute"))
        node.metadata.resource_version = ""
        await running.nodes.update(node)

        async def hasty_left() -> bool:
            return [one.metadata.name for one in await pods(running)] == ["patient"]

        await eventually(hasty_left)
        [taint] = (await running.nodes.get("n1")).spec.taints
        assert taint.HasField("time_added")
        assert [one.metadata.name for one in await pods(running)] == ["patient"]
    finally:
        beating.cancel()


async def test_pods_of_a_node_that_is_gone_are_removed(running: Api) -> None:
    await register(running, "n1")
    await eventually(lambda: _has_range(running, "n1"))
    await running.pods.create(pod("a", node="n1"))
    await running.nodes.delete("n1")
    await eventually(lambda: _count(running, 0))
    assert await running.pods.list(namespace="default") == []
