"""The worked example of a scheduler, on virtual time and beside Steersman's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from steersman import testing, until
from steersman.core.v1 import Node, Pod
from steersman.runtime import Runtime
from steersman.testing import ControlPlane, run_virtual

from examples.scheduler.cheapest import PRICE, cheapest


def pod(name: str, cpu: str, scheduler: str = "cheapest") -> Pod:
    made = Pod(metadata={"name": name, "namespace": "default"})
    made.spec.scheduler_name = scheduler
    container = made.spec.containers.add(name="main", image="web:1")
    container.resources.requests["cpu"].value = cpu
    return made


def on_a_control_plane(scenario: Callable[[ControlPlane], Awaitable[None]], **prices: str) -> None:
    async def main() -> None:
        async with testing.control_plane() as plane:
            for name, price in prices.items():
                await plane.node(name, cpu="2")
                await plane.api.nodes.modify(
                    name, lambda node, price=price: node.metadata.labels.update({PRICE: price})
                )
            runtime = Runtime(plane.api, "cheapest", clock=plane.clock)
            cheapest(runtime)
            async with runtime:
                await scenario(plane)

    run_virtual(main())


ready = until.condition("Ready")


def test_the_cheapest_node_is_filled_first() -> None:
    async def scenario(plane: ControlPlane) -> None:
        names = [f"p{number}" for number in range(4)]
        await asyncio.gather(*(plane.api.pods.create(pod(name, "1")) for name in names))
        await asyncio.gather(*(plane.api.pods.wait(name, ready, timeout_s=60) for name in names))
        where = sorted([(await plane.api.pods.get(name)).spec.node_name for name in names])
        assert where == ["cheap", "cheap", "dear", "dear"]

    on_a_control_plane(scenario, dear="9.5", cheap="1.25")


def test_a_node_that_makes_no_sense_keeps_no_pod_from_another() -> None:
    async def scenario(plane: ControlPlane) -> None:
        await plane.api.nodes.create(Node(metadata={"name": "says-nothing", "labels": {PRICE: "1"}}))
        await plane.api.pods.create(pod("one", "1"))
        await plane.api.pods.wait("one", ready, timeout_s=60)
        assert (await plane.api.pods.get("one")).spec.node_name == "dear"

    on_a_control_plane(scenario, dear="9.5", wrong="much", strange="NaN")


def test_a_pod_that_fits_nowhere_waits_and_is_told_why() -> None:
    async def scenario(plane: ControlPlane) -> None:
        api = plane.api
        await api.pods.create(pod("first", "2"))
        await api.pods.wait("first", ready, timeout_s=60)
        await api.pods.create(pod("second", "1"))
        await asyncio.sleep(30)
        assert (await api.pods.get("second")).spec.node_name == ""
        told = [event.message for event in await api.events.list(namespace="default")]
        assert "1 too little cpu" in told
        await api.pods.delete("first")
        await api.pods.wait("second", ready, timeout_s=60)

    on_a_control_plane(scenario, only="1")


def test_pods_of_other_schedulers_are_left_to_them() -> None:
    async def scenario(plane: ControlPlane) -> None:
        await plane.api.pods.create(pod("theirs", "1", scheduler="default-scheduler"))
        await plane.api.pods.create(pod("nobody-s", "1", scheduler="nobody"))
        await plane.api.pods.wait("theirs", ready, timeout_s=60)
        await asyncio.sleep(60)
        assert (await plane.api.pods.get("nobody-s")).spec.node_name == ""
        events = await plane.api.events.list(namespace="default")
        assert {event.source.component for event in events if event.reason == "Scheduled"} == {"default-scheduler"}

    on_a_control_plane(scenario, only="1")
