"""Waiting for states of objects, and changing them under others' hands."""

from __future__ import annotations

import asyncio

import pytest
from steersman import errors, testing, until
from steersman.apps.v1 import Deployment
from steersman.client import Api
from steersman.core.v1 import ConfigMap, Pod
from steersman.testing import run_virtual
from steersman.until import WaitTimeout


def pod(phase: str = "", **conditions: str) -> Pod:
    made = Pod()
    made.status.phase = phase
    for type, status in conditions.items():
        made.status.conditions.add(type=type, status=status)
    return made


@pytest.mark.parametrize(
    ("state", "seen", "holds"),
    [
        (until.exists(), pod(), True),
        (until.exists(), None, False),
        (until.gone(), None, True),
        (until.gone(), pod(), False),
        (until.condition("Ready"), pod(Ready="True"), True),
        (until.condition("ready"), pod(Ready="True"), True),
        (until.condition("Ready"), pod(Ready="False"), False),
        (until.condition("Ready", "false"), pod(Ready="False"), True),
        (until.condition("Ready"), pod(), False),
        (until.condition("Ready"), ConfigMap(), False),
        (until.condition("Ready"), None, False),
        (until.field("status.phase", "Running"), pod("Running"), True),
        (until.field(".status.phase", "Running"), pod("Pending"), False),
        (until.field("status.phase", "Running"), None, False),
        (until.field("status.conditions.type", "Ready"), pod(Ready="False"), True),
        (until.field("metadata.labels.app.kubernetes.io/name", "x"), pod(), False),
        (until.field("spec.nosuch", "1"), pod(), False),
        (until.condition("Ready") | until.field("status.phase", "Failed"), pod("Failed"), True),
        (until.condition("Ready") | until.gone(), None, True),
        (until.condition("Ready") & until.field("status.phase", "Running"), pod("Running"), False),
        (until.condition("Ready") & until.field("status.phase", "Running"), pod("Running", Ready="True"), True),
        (until.any_of(until.gone(), lambda obj: obj.status.phase == "X"), pod("X"), True),
    ],
)
def test_what_a_state_is(state: until.Until, seen: Pod | None, holds: bool) -> None:
    assert state(seen) is holds


def test_fields_are_named_as_in_manifests_or_in_python() -> None:
    made = Deployment(metadata={"labels": {"app.kubernetes.io/name": "web"}}, spec={"replicas": 3})
    made.spec.template.spec.host_network = True
    assert until.field("spec.replicas", "3")(made)
    assert until.field("spec.template.spec.hostNetwork", "true")(made)
    assert until.field("spec.template.spec.host_network", "true")(made)
    assert until.field("metadata.labels.app.kubernetes.io/name", "web")(made)


def test_a_condition_of_an_older_object_does_not_count() -> None:
    made = Deployment(metadata={"generation": 2}, status={"observed_generation": 1})
    made.status.conditions.add(type="Available", status="True")
    assert not until.condition("Available")(made)
    made.status.observed_generation = 2
    assert until.condition("Available")(made)


def configuration(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata={"name": name, "namespace": "default"}, data=data)


def at(step: str) -> until.Until:
    return until.field("data.step", step)


def test_what_comes_about_later_is_seen() -> None:
    async def main() -> None:
        async with testing.control_plane("apiserver") as plane:
            api = plane.api

            async def live() -> None:
                await asyncio.sleep(10)
                await api.configmaps.create(configuration("it", step="1"))
                await asyncio.sleep(10)
                await api.configmaps.update(configuration("it", step="2"))
                await asyncio.sleep(10)
                await api.configmaps.delete("it")

            living = asyncio.create_task(live())
            loop = asyncio.get_running_loop()
            found = await api.configmaps.wait("it", until.exists(), timeout_s=100)
            assert found is not None
            assert found.data["step"] == "1"
            assert 10 <= loop.time() < 11
            either = await api.configmaps.wait("it", at("7") | at("2"), timeout_s=100)
            assert either is not None
            assert 20 <= loop.time() < 21
            assert await api.configmaps.wait("it", until.gone(), timeout_s=100) is None
            assert 30 <= loop.time() < 31
            # Gone already: no need to wait.
            assert await api.configmaps.wait("it", until.gone(), timeout_s=1) is None
            await living

    run_virtual(main())


def test_a_state_that_does_not_come_about_says_what_was_there() -> None:
    async def main() -> None:
        async with testing.control_plane("apiserver") as plane:
            with pytest.raises(WaitTimeout, match=r"waited 60 s for configmap/it to be there; there is no such object"):
                await plane.api.configmaps.wait("it", until.exists(), timeout_s=60)
            await plane.api.configmaps.create(configuration("it", step="1"))
            with pytest.raises(WaitTimeout, match=r"to be data.step=2 or gone; it has not") as caught:
                await plane.api.configmaps.wait("it", at("2") | until.gone(), timeout_s=60)
            assert caught.value.last.data["step"] == "1"

    run_virtual(main())


async def test_one_look_is_a_wait_of_no_time() -> None:
    async with testing.control_plane("apiserver") as plane:
        await plane.api.configmaps.create(configuration("it", step="1"))
        assert await plane.api.configmaps.wait("it", at("1"), timeout_s=0) is not None
        assert await plane.api.configmaps.wait("other", until.gone(), timeout_s=0) is None
        with pytest.raises(WaitTimeout):
            await plane.api.configmaps.wait("it", at("2"), timeout_s=0)


async def test_waiting_is_refused_to_those_who_may_not_watch() -> None:
    async with testing.control_plane("apiserver") as plane:
        nobody = await plane.connect("somebody")
        with pytest.raises(errors.Forbidden):
            await nobody.configmaps.wait("it", until.exists(), timeout_s=60)


async def test_a_change_goes_on_top_of_those_of_others() -> None:
    async with testing.control_plane("apiserver") as plane:
        api: Api = plane.api
        await api.configmaps.create(configuration("count", n="0"))

        def add(counted: ConfigMap) -> None:
            counted.data["n"] = str(int(counted.data["n"]) + 1)

        await asyncio.gather(*(api.configmaps.modify("count", add) for _ in range(5)))
        assert (await api.configmaps.get("count")).data["n"] == "5"


async def test_a_change_that_changes_nothing_is_not_written() -> None:
    async with testing.control_plane("apiserver") as plane:
        before = await plane.api.configmaps.create(configuration("same", a="1"))
        after = await plane.api.configmaps.modify("same", lambda found: found.data.update(a="1"))
        assert after.metadata.resource_version == before.metadata.resource_version
