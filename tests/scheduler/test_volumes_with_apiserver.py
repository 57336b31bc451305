"""Volumes are given to claims before the pod is bound, with the real apiserver and a volume controller in the test."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from steersman import errors
from steersman.client import Api
from steersman.core.v1 import PersistentVolumeClaim, Pod

from scheduler.volumes import BIND_COMPLETED, BOUND_BY_CONTROLLER, SELECTED_NODE
from tests.scheduler.control_plane import ControlPlane
from tests.scheduler.objects import node, pod
from tests.scheduler.storage_objects import claim, storage_class, using, volume
from tests.waiting import eventually


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with ControlPlane(tmp_path) as plane, plane.connect() as api:
        configuration = plane.identity("scheduler", "system:kube-scheduler")
        plane.start(
            *["scheduler", "--config", str(configuration), "--bind-address", f"unix:{tmp_path / 'scheduler.sock'}"],
            *["--metrics-address", "", *plane.tls("scheduler")],
        )
        for name in ("n1", "n2"):
            made = await api.nodes.create(node(name))
            del made.spec.taints[:]
            made = await api.nodes.update(made)
            made.status.CopyFrom(node(name).status)
            await api.nodes.update_status(made)
        await api.storageclasses.create(storage_class("wait"))
        await api.storageclasses.create(storage_class("make", provisioner="make.example.com"))
        yield api


async def created(api: Api, name: str, claim_name: str) -> None:
    fresh = pod(name, volumes=using(claim_name))
    fresh.metadata.uid = ""
    await api.pods.create(fresh)


async def make_claim(api: Api, name: str, storage: str = "wait") -> PersistentVolumeClaim:
    fresh = claim(name, storage=storage)
    fresh.metadata.uid = ""
    return await api.persistentvolumeclaims.create(fresh)


async def make_volume(api: Api, name: str, on: list[str]) -> None:
    made = await api.persistentvolumes.create(volume(name, on=on))
    made.status.phase = "Available"
    await api.persistentvolumes.update_status(made)


async def complete(api: Api, claim_name: str, volume_name: str) -> None:
    """What the volume controller does when a volume was given to a claim."""
    present = await api.persistentvolumeclaims.get(claim_name, namespace="default")
    present.spec.volume_name = volume_name
    present.metadata.annotations[BIND_COMPLETED] = "yes"
    await api.persistentvolumeclaims.update(present)


async def node_of(api: Api, name: str) -> str:
    found: Pod = await api.pods.get(name, namespace="default")
    return found.spec.node_name


async def test_a_pod_is_bound_once_its_volume_is(api: Api) -> None:
    await make_volume(api, "disk", ["n2"])
    fresh = await make_claim(api, "data")
    await created(api, "user", "data")

    async def given() -> bool:
        present = await api.persistentvolumes.get("disk")
        return present.spec.claim_ref.uid == fresh.metadata.uid and BOUND_BY_CONTROLLER in present.metadata.annotations

    await eventually(given)
    assert not await node_of(api, "user"), "not before the claim is bound"
    await complete(api, "data", "disk")
    assert await eventually(lambda: node_of(api, "user")) == "n2"


async def test_a_volume_is_asked_for_where_the_pod_is_to_run_and_elsewhere_when_it_cannot_be_made(api: Api) -> None:
    await make_claim(api, "data", "make")
    await created(api, "user", "data")

    async def selected() -> str:
        present = await api.persistentvolumeclaims.get("data", namespace="default")
        return present.metadata.annotations.get(SELECTED_NODE, "")

    first = await eventually(selected)
    cordoned = await api.nodes.get(first)
    cordoned.spec.unschedulable = True
    await api.nodes.update(cordoned)
    # Whoever makes volumes gives the claim back.
    present = await api.persistentvolumeclaims.get("data", namespace="default")
    del present.metadata.annotations[SELECTED_NODE]
    await api.persistentvolumeclaims.update(present)

    async def moved() -> bool:
        return await selected() not in ("", first)

    await eventually(moved)
    await make_volume(api, "made", [await selected()])
    await complete(api, "data", "made")
    assert await eventually(lambda: node_of(api, "user")) not in ("", first)


async def test_a_claim_that_goes_away_takes_the_promise_with_it(api: Api) -> None:
    await make_volume(api, "disk", ["n1"])
    await make_claim(api, "gone")
    await created(api, "first", "gone")

    async def given() -> str:
        present = await api.persistentvolumes.get("disk")
        return present.spec.claim_ref.name

    assert await eventually(given) == "gone"
    await api.pods.delete("first", namespace="default", grace_period_s=0)
    try:
        doomed = await api.persistentvolumeclaims.get("gone", namespace="default")
        del doomed.metadata.finalizers[:]
        await api.persistentvolumeclaims.update(doomed)
        await api.persistentvolumeclaims.delete("gone", namespace="default")
    except errors.NotFound:
        pass

    async def free() -> bool:
        return not await given()

    await eventually(free)
    await make_claim(api, "next")
    await created(api, "second", "next")

    async def given_to_next() -> bool:
        return await given() == "next"

    await eventually(given_to_next)
    await complete(api, "next", "disk")
    assert await eventually(lambda: node_of(api, "second")) == "n1"


async def test_members_of_a_group_are_bound_when_all_their_volumes_are(api: Api) -> None:
    for name in ("first", "second"):
        await make_volume(api, f"disk-{name}", ["n1"])
        await make_claim(api, name)
    labels = {"scheduling.steersman.io/pod-group": "g", "scheduling.steersman.io/min-available": "2"}
    given: dict[str, str] = {}
    for name in ("first", "second"):
        fresh = pod(f"user-{name}", volumes=using(name), labels=labels)
        fresh.metadata.uid = ""
        await api.pods.create(fresh)

    async def promised() -> bool:
        for one in await api.persistentvolumes.list():
            if one.spec.claim_ref.name:
                given[one.spec.claim_ref.name] = one.metadata.name
        return len(given) == 2

    await eventually(promised)
    await complete(api, "first", given["first"])

    async def bound() -> set[str]:
        return {one.metadata.name for one in await api.pods.list(namespace="default") if one.spec.node_name}

    assert not await bound()
    await complete(api, "second", given["second"])

    async def all_bound() -> bool:
        return await bound() == {"user-first", "user-second"}

    await eventually(all_bound)


async def test_a_node_that_vanishes_while_a_pod_waits_for_its_volume_gets_no_pod(api: Api) -> None:
    await make_claim(api, "data", "make")
    await created(api, "user", "data")

    async def selected() -> str:
        present = await api.persistentvolumeclaims.get("data", namespace="default")
        return present.metadata.annotations.get(SELECTED_NODE, "")

    first = await eventually(selected)
    await api.nodes.delete(first)
    numbers = itertools.count()

    async def seen() -> bool:
        """Whether the scheduler knows that the node is gone, as a pod that suits nowhere is told."""
        name = f"probe-{next(numbers)}"
        probe = pod(name, nodeSelector={"no": "such"})
        probe.metadata.uid = ""
        await api.pods.create(probe)

        async def told() -> str:
            present = await api.pods.get(name, namespace="default")
            return next((one.message for one in present.status.conditions if one.type == "PodScheduled"), "")

        return str(await eventually(told)).startswith("0/1 ")

    await eventually(seen)
    await make_volume(api, "made", ["n1", "n2"])
    await complete(api, "data", "made")
    assert await eventually(lambda: node_of(api, "user")) not in ("", first)


async def test_a_group_whose_volumes_do_not_come_in_time_gives_up_its_place(api: Api) -> None:
    labels = {
        "scheduling.steersman.io/pod-group": "g",
        "scheduling.steersman.io/min-available": "2",
        "scheduling.steersman.io/timeout-seconds": "1",
    }
    await make_claim(api, "never", "make")
    for name, more in (("waiting", {"volumes": using("never")}), ("ready", {})):
        fresh = pod(name, labels=labels, cpu="4", **more)
        fresh.metadata.uid = ""
        await api.pods.create(fresh)

    async def told() -> bool:
        messages = [event.message for event in await api.events.list(namespace="default")]
        return any("were not bound within 1 s" in one for one in messages) and any(
            "of group default/g" in one for one in messages
        )

    await eventually(told)
    # Both nodes are free in between, and whoever comes may have them.
    alone = pod("alone", cpu="4", priority=0)
    alone.metadata.uid = ""
    await api.pods.create(alone)
    assert await eventually(lambda: node_of(api, "alone"), timeout_s=20)
    assert not await node_of(api, "ready")
