"""The verbs that change a pod in one respect: BindMany, UpdateEphemeralContainers and Resize."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from steersman import errors
from steersman.client import Api
from steersman.core.v1 import (
    Pod,
    PodAttachRequest,
    PodAttachStart,
    PodBindManyRequest,
    PodBindManyResponse,
    PodBindRequest,
)

from apiserver.rpc.bindings import AT_ONCE
from tests.apiserver.conftest import Served
from tests.apiserver.objects import pod


async def requests(pairs: Iterable[tuple[int, PodBindRequest]]) -> AsyncIterator[PodBindManyRequest]:
    for number, bind in pairs:
        yield PodBindManyRequest(id=number, bind=bind)


def binding(name: str, node: str = "n1", uid: str = "") -> PodBindRequest:
    return PodBindRequest(namespace="default", name=name, node_name=node, uid=uid)


async def bound(api: Api, pairs: list[tuple[int, PodBindRequest]]) -> list[PodBindManyResponse]:
    return [response async for response in api.pods.bind_many(requests(pairs))]


async def test_many_pods_are_bound_in_one_call(api: Api) -> None:
    several = AT_ONCE * 3
    for number in range(several):
        await api.pods.create(pod(f"p{number}"))
    results = await bound(api, [(1000 + number, binding(f"p{number}", f"n{number % 5}")) for number in range(several)])
    assert [result.id for result in results] == [1000 + number for number in range(several)]
    assert not any(result.HasField("failure") for result in results)
    for number, result in enumerate(results):
        stored = await api.pods.get(f"p{number}")
        assert (stored.spec.node_name, stored.metadata.resource_version) == (f"n{number % 5}", result.resource_version)


async def test_a_binding_that_fails_says_why_and_ends_nothing(api: Api) -> None:
    made = await api.pods.create(pod("a"))
    await api.pods.create(pod("b"))
    gated = pod("gated")
    gated.spec.scheduling_gates.add(name="example.org/wait")
    await api.pods.create(gated)
    results = await bound(
        api,
        [
            (1, binding("none")),
            (2, binding("a", uid="another")),
            (3, binding("a", uid=made.metadata.uid)),
            (4, binding("a")),
            (5, binding("gated")),
            (6, binding("b", "")),
            (7, PodBindRequest()),
            (8, binding("b")),
        ],
    )
    assert [(each.id, each.failure.reason, each.failure.code) for each in results] == [
        (1, "NOT_FOUND", 5),
        (2, "CONFLICT", 10),
        (3, "", 0),
        (4, "CONFLICT", 10),
        (5, "NOT_POSSIBLE", 9),
        (6, "BAD_REQUEST", 3),
        (7, "BAD_REQUEST", 3),
        (8, "", 0),
    ]
    assert "bound to node 'n1' already" in results[3].failure.message


async def test_results_come_while_requests_are_still_sent(api: Api) -> None:
    """A scheduler that waits for a result before it sends the next request is not kept waiting."""
    for name in ("a", "b"):
        await api.pods.create(pod(name))
    seen: asyncio.Queue[int] = asyncio.Queue()

    async def one_by_one() -> AsyncIterator[PodBindManyRequest]:
        yield PodBindManyRequest(id=1, bind=binding("a"))
        assert await seen.get() == 1
        yield PodBindManyRequest(id=2, bind=binding("b"))

    async with asyncio.timeout(20):
        async for result in api.pods.bind_many(one_by_one()):
            seen.put_nowait(result.id)
    assert (await api.pods.get("b")).spec.node_name == "n1"


async def test_a_caller_that_leaves_leaves_nothing_behind(api: Api) -> None:
    await api.pods.create(pod("a"))
    never = asyncio.Event()

    async def endless() -> AsyncIterator[PodBindManyRequest]:
        yield PodBindManyRequest(id=1, bind=binding("a"))
        await never.wait()

    stream = api.pods.bind_many(endless())
    assert (await anext(stream)).id == 1
    await stream.aclose()  # type: ignore[attr-defined]
    assert [result.id for result in await bound(api, [(5, binding("a"))])] == [5]


async def test_only_who_may_bind_everywhere_binds_many(served: Served) -> None:
    with pytest.raises(errors.Forbidden):
        await bound(served.as_user("lea"), [(1, binding("a"))])


# --- containers for looking into a pod --------------------------------------------------------------------------------


def with_debugger(made: Pod, name: str = "debug", image: str = "tools:1") -> Pod:
    wanted = Pod()
    wanted.CopyFrom(made)
    added = wanted.spec.ephemeral_containers.add(target_container_name="c")
    added.ephemeral_container_common.name, added.ephemeral_container_common.image = name, image
    return wanted


async def test_a_container_is_added_and_stays(api: Api) -> None:
    made = await api.pods.create(pod())
    wanted = with_debugger(made)
    wanted.spec.hostname = "not looked at"
    changed = await api.pods.update_ephemeral_containers(wanted)
    [debugger] = changed.spec.ephemeral_containers
    assert debugger.ephemeral_container_common.image_pull_policy == "IfNotPresent"
    assert (changed.spec.hostname, changed.metadata.generation) == ("", 2)
    again = Pod(metadata=changed.metadata)
    again.metadata.resource_version = ""
    again = with_debugger(again)
    assert await api.pods.update_ephemeral_containers(again) == changed, "idempotent"
    more = await api.pods.update_ephemeral_containers(with_debugger(changed, "debug-2"))
    assert len(more.spec.ephemeral_containers) == 2
    assert (await api.pods.update(more)).spec.ephemeral_containers == more.spec.ephemeral_containers
    del more.spec.ephemeral_containers[:]
    with pytest.raises(errors.Invalid, match="may not be taken away"):
        await api.pods.update_ephemeral_containers(more)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda each: each.ephemeral_container_common.ports.add(container_port=80), "ports"),
        (lambda each: each.ephemeral_container_common.liveness_probe.SetInParent(), "livenessProbe"),
        (lambda each: each.ephemeral_container_common.lifecycle.SetInParent(), "lifecycle"),
        (
            lambda each: each.ephemeral_container_common.resources.requests["cpu"].MergeFrom(StringValue(value="1")),
            "resources",
        ),
        (lambda each: setattr(each, "target_container_name", "other"), "targetContainerName"),
        (lambda each: setattr(each.ephemeral_container_common, "name", "c"), "name"),
        (lambda each: setattr(each.ephemeral_container_common, "image", ""), "image"),
    ],
)
async def test_what_such_a_container_may_not_have(api: Api, change: object, field: str) -> None:
    made = await api.pods.create(pod())
    wanted = with_debugger(made)
    change(wanted.spec.ephemeral_containers[0])  # type: ignore[operator]
    with pytest.raises(errors.Invalid) as caught:
        await api.pods.update_ephemeral_containers(wanted)
    assert f"spec.ephemeralContainers[0].{field}" in {violation.field for violation in caught.value.violations}


async def test_such_a_container_is_not_changed(api: Api) -> None:
    changed = await api.pods.update_ephemeral_containers(with_debugger(await api.pods.create(pod())))
    changed.spec.ephemeral_containers[0].ephemeral_container_common.image = "other:2"
    with pytest.raises(errors.Invalid, match="may not be changed"):
        await api.pods.update_ephemeral_containers(changed)
    with pytest.raises(errors.Invalid, match="not allowed in a new pod"):
        await api.pods.create(with_debugger(pod("new")))


# --- resources --------------------------------------------------------------------------------------------------------


def sized(name: str = "p", *, cpu: str = "1", limit: str = "") -> Pod:
    made = pod(name)
    made.spec.containers[0].resources.requests["cpu"].value = cpu
    if limit:
        made.spec.containers[0].resources.limits["cpu"].value = limit
    return made


async def test_a_pod_gets_other_resources(served: Served, api: Api) -> None:
    made = await api.pods.create(sized())
    made.spec.containers[0].resources.requests["cpu"].value = "2"
    made.spec.containers[0].image = "not looked at"
    changed = await api.pods.resize(made)
    container = changed.spec.containers[0]
    assert (container.resources.requests["cpu"].value, container.image) == ("2", "a:1")
    assert changed.metadata.generation == 2
    assert any("started again" in warning for warning in served.warnings)
    changed.metadata.resource_version = made.metadata.resource_version
    with pytest.raises(errors.Conflict):
        await api.pods.resize(changed)
    made.metadata.resource_version = ""
    assert (await api.pods.resize(made)).metadata.generation == 2, "idempotent"


async def test_what_a_resize_may_not_do(api: Api) -> None:
    made = await api.pods.create(sized())
    for part, name, value, words in (
        ("requests", "cpu", "", "may not be taken away"),
        ("requests", "example.org/card", "1", "only cpu and memory may change"),
        ("limits", "cpu", "500m", "is more than the limit"),
        ("requests", "cpu", "much", "much"),
    ):
        wanted = Pod()
        wanted.CopyFrom(made)
        resources = getattr(wanted.spec.containers[0].resources, part)
        if value:
            resources[name].value = value
        else:
            del resources[name]
        with pytest.raises(errors.Invalid, match=words):
            await api.pods.resize(wanted)
    assert (await api.pods.get("p")).spec == made.spec


async def test_the_class_of_service_stays(api: Api) -> None:
    made = await api.pods.create(sized(cpu="1", limit="2"))
    for name, amount in (("cpu", "2"), ("memory", "1Gi")):
        made.spec.containers[0].resources.requests[name].value = amount
        made.spec.containers[0].resources.limits[name].value = amount
    with pytest.raises(errors.Invalid, match="class of service may not change from Burstable to Guaranteed"):
        await api.pods.resize(made)


async def test_of_init_containers_only_those_that_stay_are_resized(api: Api) -> None:
    made = pod()
    for name, policy in (("first", ""), ("beside", "Always")):
        container = made.spec.init_containers.add(name=name, image="a:1")
        container.resources.requests["cpu"].value = "1"
        if policy:
            container.restart_policy = policy
    made = await api.pods.create(made)
    made.spec.init_containers[1].resources.requests["cpu"].value = "2"
    made = await api.pods.resize(made)
    assert made.spec.init_containers[1].resources.requests["cpu"].value == "2"
    made.spec.init_containers[0].resources.requests["cpu"].value = "2"
    with pytest.raises(errors.Invalid, match="runs to its end before others start"):
        await api.pods.resize(made)


async def test_a_pod_on_no_node_cannot_be_attached_to(api: Api) -> None:
    await api.pods.create(pod())

    async def start() -> AsyncIterator[PodAttachRequest]:
        yield PodAttachRequest(start=PodAttachStart(namespace="default", name="p"))

    with pytest.raises(errors.FailedPrecondition, match="runs on no node yet"):
        async for _ in api.pods.attach(start()):
            pass
