"""The worked example of a controller, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from steersman import testing, until
from steersman.core.v1 import ConfigMap
from steersman.runtime import Runtime
from steersman.testing import ControlPlane, run_virtual

from examples.website.controller import STATUS, websites


def site(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata={"name": name, "namespace": "default", "labels": {"kind": "website"}}, data=data)


def status(text: str) -> until.Until:
    return until.Until(text, lambda found: found is not None and found.metadata.annotations.get(STATUS) == text)


def on_a_control_plane(scenario: Callable[[ControlPlane], Awaitable[None]]) -> None:
    async def main() -> None:
        async with testing.control_plane() as plane:
            await plane.node("n1")
            runtime = Runtime(plane.api, "website-controller", clock=plane.clock)
            websites(runtime)
            async with runtime:
                await scenario(plane)

    run_virtual(main())


def test_a_site_becomes_pods_and_a_service_and_says_how_it_is_doing() -> None:
    async def scenario(plane: ControlPlane) -> None:
        api = plane.api
        await api.configmaps.create(site("hello", image="web:1", replicas="3"))
        await api.configmaps.wait("hello", status("3 of 3 ready"), timeout_s=60)
        assert len(await api.pods.list(namespace="default", label_selector="website=hello")) == 3
        port = (await api.services.get("hello")).spec.ports[0]
        assert (port.port, port.target_port.int_val) == (80, 8080)
        await api.configmaps.modify("hello", lambda found: found.data.update(replicas="1"))
        await api.configmaps.wait("hello", status("1 of 1 ready"), timeout_s=60)

    on_a_control_plane(scenario)


def test_what_others_delete_comes_back() -> None:
    async def scenario(plane: ControlPlane) -> None:
        api = plane.api
        await api.configmaps.create(site("hello", image="web:1"))
        await api.configmaps.wait("hello", status("1 of 1 ready"), timeout_s=60)
        before = await api.deployments.get("hello")
        await api.deployments.delete("hello")
        await api.deployments.wait(
            "hello", lambda found: found is not None and found.metadata.uid != before.metadata.uid, timeout_s=60
        )

    on_a_control_plane(scenario)


def test_a_site_says_good_bye_and_takes_everything_with_it() -> None:
    async def scenario(plane: ControlPlane) -> None:
        api = plane.api
        await api.configmaps.create(site("hello", image="web:1"))
        await api.configmaps.wait("hello", status("1 of 1 ready"), timeout_s=60)
        await api.configmaps.delete("hello")
        await api.configmaps.wait("hello", until.gone(), timeout_s=60)
        await api.deployments.wait("hello", until.gone(), timeout_s=120)
        await api.services.wait("hello", until.gone(), timeout_s=120)
        # Events are sent in the background.
        await asyncio.sleep(10)
        assert "Goodbye" in {event.reason for event in await api.events.list(namespace="default")}

    on_a_control_plane(scenario)


@pytest.mark.parametrize("data", [{}, {"image": ""}, {"image": "web:1", "replicas": "many"}])
def test_a_site_that_makes_no_sense_stops_no_other(data: dict[str, str]) -> None:
    async def scenario(plane: ControlPlane) -> None:
        await plane.api.configmaps.create(site("bad", **data))
        await plane.api.configmaps.create(site("good", image="web:1"))
        await plane.api.configmaps.wait("good", status("1 of 1 ready"), timeout_s=60)
        assert STATUS not in (await plane.api.configmaps.get("bad")).metadata.annotations

    on_a_control_plane(scenario)
