"""Killed in the middle of everything, the scheduler never gives away a node's resources twice, and forgets nobody."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest
from steersman import errors
from steersman.client import Api
from steersman.core.v1 import Pod

from tests.scheduler.control_plane import ControlPlane
from tests.scheduler.objects import node, pod
from tests.waiting import eventually

NODES, SLOTS, PODS = 8, 10, 100


async def create(api: Api, name: str) -> None:
    fresh = pod(name, cpu="100m")
    fresh.metadata.uid = ""
    while True:
        try:
            await api.pods.create(fresh)
        except errors.AlreadyExists:
            return
        except (errors.Unavailable, errors.Cancelled, errors.DeadlineExceeded):
            await asyncio.sleep(0.02)
        else:
            return


async def all_pods(api: Api) -> list[Pod]:
    return await api.pods.list(namespace="default")


def checked(pods: list[Pod]) -> Counter[str]:
    """How many pods are on each node; none has more than it has room for."""
    used = Counter(one.spec.node_name for one in pods if one.spec.node_name)
    assert all(number <= SLOTS for number in used.values()), used
    return used


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_given_away_twice(tmp_path: Path, seed: int) -> None:
    order = random.Random(seed)
    async with ControlPlane(tmp_path) as plane, plane.connect() as api:
        configuration = plane.identity("scheduler", "system:kube-scheduler")
        arguments = [
            *["scheduler", "--config", str(configuration), "--bind-address", f"unix:{tmp_path / 'scheduler.sock'}"],
            *["--metrics-address", "", *plane.tls("scheduler")],
        ]
        for number in range(NODES):
            made = await api.nodes.create(node(f"n{number}"))
            made.spec.ClearField("taints")
            made = await api.nodes.update(made)
            made.status.CopyFrom(node(f"n{number}", cpu="1").status)
            await api.nodes.update_status(made)
        running = plane.start(*arguments)
        creating = asyncio.gather(*(create(api, f"p{number}") for number in range(PODS)))
        for blow in range(4):
            progress = len(checked(await all_pods(api)))

            async def further(than: int = progress) -> bool:
                return len(checked(await all_pods(api))) > than or order.random() < 0.2

            await eventually(further)
            if blow == 2:
                plane.kill_apiserver()
            else:
                running.kill()
                running.wait()
                running = plane.start(*arguments)
        await creating

        async def full() -> bool:
            return checked(await all_pods(api)).total() == NODES * SLOTS

        await eventually(full, 30)
        waiting = [one.metadata.name for one in await all_pods(api) if not one.spec.node_name]
        assert len(waiting) == PODS - NODES * SLOTS

        # Those that wait get what becomes free, all of it.
        leaving = [one.metadata.name for one in await all_pods(api) if one.spec.node_name][: len(waiting)]
        for name in leaving:
            await api.pods.delete(name, namespace="default", grace_period_s=0)

        async def all_placed() -> bool:
            return all(one.spec.node_name for one in await all_pods(api))

        await eventually(all_placed, 30)
        checked(await all_pods(api))
