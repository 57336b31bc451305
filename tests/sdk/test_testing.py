"""The control plane inside a test's process, in real and in virtual time."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest
from steersman import errors, testing, until
from steersman.apps.v1 import Deployment
from steersman.core.v1 import ConfigMap, Pod
from steersman.testing import VirtualLoop, place, run_virtual

from tests.waiting import eventually


def deployment(name: str, replicas: int) -> Deployment:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "web:1"}]}}
    spec = {"replicas": replicas, "selector": {"match_labels": labels}, "template": template}
    return Deployment(metadata={"name": name, "namespace": "default"}, spec=spec)


async def roll_out(plane: testing.ControlPlane) -> None:
    for name in ("n1", "n2"):
        await plane.node(name)
    await plane.api.deployments.create(deployment("web", 4))
    await plane.api.deployments.wait("web", until.condition("Available"), timeout_s=60)
    pods = await plane.api.pods.list(namespace="default")
    assert sorted(pod.spec.node_name for pod in pods) == ["n1", "n1", "n2", "n2"]
    assert len({pod.status.pod_ip for pod in pods}) == 4


async def test_a_deployment_becomes_available_in_real_time() -> None:
    async with testing.control_plane() as plane:
        await roll_out(plane)


def test_a_lost_node_is_replaced_within_virtual_minutes() -> None:
    async def main() -> float:
        async with testing.control_plane(seed=1) as plane:
            loop = asyncio.get_running_loop()
            lost = await plane.node("lost")
            await plane.node("other")
            await plane.api.deployments.create(deployment("web", 3))
            await plane.api.deployments.wait("web", until.condition("Available"), timeout_s=60)
            silent_at = loop.time()
            await lost.stop()
            unknown = until.condition("Ready", "Unknown")
            await plane.api.nodes.wait("lost", unknown, timeout_s=600)
            noticed_s = loop.time() - silent_at

            await plane.api.deployments.wait("web", lambda web: web.status.available_replicas < 3, timeout_s=60)
            await plane.api.deployments.wait("web", lambda web: web.status.available_replicas == 3, timeout_s=3600)
            # Pods stay five minutes on a node that is unreachable; then others are made elsewhere.
            assert 300 <= loop.time() - silent_at < 400
            return noticed_s

    # Leases count for 40 s, and nodes are looked at every 5 s.
    assert 30 <= run_virtual(main()) <= 60


def test_virtual_time_starts_when_it_is_told() -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)

    async def main() -> datetime:
        async with testing.control_plane("apiserver", start=start) as plane:
            await asyncio.sleep(3600)
            made = await plane.api.configmaps.create(ConfigMap(metadata={"name": "late", "namespace": "default"}))
            return made.metadata.creation_timestamp.ToDatetime(tzinfo=UTC)

    made_at = run_virtual(main())
    assert 3600 <= (made_at - start).total_seconds() < 3610


def test_the_same_seed_gives_the_same_names() -> None:
    async def main() -> list[str]:
        async with testing.control_plane("apiserver", seed=42) as plane:
            made = [
                await plane.api.configmaps.create(ConfigMap(metadata={"generate_name": "x-", "namespace": "default"}))
                for _ in range(5)
            ]
            return [one.metadata.uid + one.metadata.name for one in made]

    assert run_virtual(main()) == run_virtual(main())


async def test_users_may_do_what_their_roles_say() -> None:
    async with testing.control_plane("apiserver") as plane:
        nobody = await plane.connect("somebody")
        with pytest.raises(errors.Forbidden, match="somebody"):
            await nobody.configmaps.list(namespace="default")


async def test_a_pod_of_a_hollow_node_goes_when_it_is_deleted() -> None:
    async with testing.control_plane("apiserver") as plane:
        await plane.node("n1")
        pod = Pod(metadata={"name": "web", "namespace": "default"})
        pod.spec.node_name = "n1"
        pod.spec.containers.add(name="main", image="web:1")
        await plane.api.pods.create(pod)
        running = await plane.api.pods.wait("web", until.condition("Ready"), timeout_s=30)
        assert running is not None
        assert running.status.container_statuses[0].ready
        await plane.api.pods.delete("web")
        await plane.api.pods.wait("web", until.gone(), timeout_s=30)


async def test_a_control_plane_that_is_given_up_while_it_starts_leaves_nothing() -> None:
    async def begin() -> None:
        async with testing.control_plane() as plane:
            for name in ("n1", "n2"):
                await plane.node(name)

    steps, ended = 1, False
    while not ended:
        beginning = asyncio.create_task(begin())
        for _ in range(steps):
            await asyncio.sleep(0)
        ended = beginning.done()
        beginning.cancel()
        await asyncio.wait({beginning})
        # What is being closed by then has no more than its last step to make.
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
        steps += 20


def test_two_nodes_of_one_name_are_one_too_many() -> None:
    async def main() -> None:
        async with testing.control_plane("apiserver") as plane:
            first = await plane.node("n1")
            with pytest.raises(errors.AlreadyExists, match="n1"):
                await plane.node("n1")
            await first.stop()
            with pytest.raises(errors.AlreadyExists, match="n1"):
                await plane.node("n1")

    run_virtual(main())


def test_time_stands_still_while_a_thread_works() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        timer = asyncio.create_task(asyncio.sleep(1000))
        began = loop.time()
        await asyncio.to_thread(time.sleep, 0.05)
        passed = loop.time() - began
        timer.cancel()
        return passed

    assert run_virtual(main()) == 0


def test_timers_run_in_order_and_at_once() -> None:
    async def main() -> list[tuple[str, float]]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        done: list[tuple[str, float]] = []

        async def after(seconds: float, name: str) -> None:
            await asyncio.sleep(seconds)
            done.append((name, loop.time()))

        await asyncio.gather(after(86400, "day"), after(1, "second"), after(3600, "hour"))
        return done

    assert run_virtual(main()) == [("second", 1), ("hour", 3600), ("day", 86400)]


def test_a_service_that_is_not_installed_is_named() -> None:
    with pytest.raises(place.MissingServiceError, match="'dns'"):
        place.service("dns")
