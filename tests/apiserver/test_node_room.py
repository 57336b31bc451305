"""A node is never overcommitted by bindings, whoever makes them."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from steersman import errors, quantity
from steersman.client import Api, connect_to
from steersman.core.v1 import Node, Pod
from steersman.testing import VirtualClock, run_virtual
from steersman.testing.place import Place

from apiserver.bootstrap import Apiserver, Settings, node_channels
from apiserver.storage.memory import MemoryStorage
from apiserver.storage.port import Nudge, StorageBatch, Stored
from tests.apiserver.objects import pod

SEEDS = int(os.environ.get("NODE_ROOM_SEEDS", "20"))


def asking(name: str, cpu: str = "", memory: str = "") -> Pod:
    made = pod(name)
    for resource, amount in (("cpu", cpu), ("memory", memory)):
        if amount:
            made.spec.containers[0].resources.requests[resource].value = amount
    return made


async def add_node(api: Api, name: str, **amounts: str) -> None:
    made = await api.nodes.create(Node(metadata={"name": name}))
    for resource, amount in amounts.items():
        made.status.allocatable[resource].value = amount
    await api.nodes.update_status(made)


async def bind(api: Api, name: str, node: str = "n1") -> None:
    await api.pods.bind(name, namespace="default", node_name=node)


async def test_a_pod_that_does_not_fit_is_refused_with_what_is_short(api: Api) -> None:
    await add_node(api, "n1", cpu="1", memory="1Gi", pods="10")
    for name in ("a", "b"):
        await api.pods.create(asking(name, cpu="600m", memory="100Mi"))
    await bind(api, "a")
    with pytest.raises(errors.FailedPrecondition, match="asks for 600m cpu, 400m is free") as caught:
        await bind(api, "b")
    assert caught.value.reason == "NODE_FULL"
    assert caught.value.facts["resource"] == "cpu"
    assert (await api.pods.get("b", namespace="default")).spec.node_name == ""


async def test_places_for_pods_are_counted_too(api: Api) -> None:
    await add_node(api, "n1", cpu="8", pods="2")
    for name in ("a", "b", "c"):
        await api.pods.create(pod(name))
    await bind(api, "a")
    await bind(api, "b")
    with pytest.raises(errors.FailedPrecondition, match="pods"):
        await bind(api, "c")


@pytest.mark.parametrize("end", ["deleted", "Succeeded", "Failed"])
async def test_a_pod_that_has_ended_holds_nothing(api: Api, end: str) -> None:
    await add_node(api, "n1", cpu="1", pods="10")
    for name in ("a", "b"):
        await api.pods.create(asking(name, cpu="1"))
    await bind(api, "a")
    if end == "deleted":
        await api.pods.delete("a", namespace="default", grace_period_s=0)
    else:
        ended = await api.pods.get("a", namespace="default")
        ended.status.phase = end
        await api.pods.update_status(ended)
    await bind(api, "b")


async def test_what_is_not_asked_for_is_not_looked_at(api: Api) -> None:
    await add_node(api, "n1", cpu="1", pods="10")
    await api.pods.create(asking("a", cpu="1"))
    await api.pods.create(asking("b"))
    await api.pods.create(asking("c", memory="1Mi"))
    await bind(api, "a")
    await bind(api, "b")
    with pytest.raises(errors.FailedPrecondition, match="memory"):
        await bind(api, "c")


async def test_a_node_that_has_not_said_what_it_has_takes_anything(api: Api) -> None:
    await api.nodes.create(Node(metadata={"name": "new"}))
    await api.pods.create(asking("a", cpu="1000"))
    await bind(api, "a", "new")


async def test_many_at_once_fill_a_node_to_the_brim_and_no_further(api: Api) -> None:
    await add_node(api, "n1", cpu="2", pods="110")
    names = [f"p{number}" for number in range(30)]
    await asyncio.gather(*(api.pods.create(asking(name, cpu="100m")) for name in names))
    outcomes = await asyncio.gather(*(bind(api, name) for name in names), return_exceptions=True)
    refused = [outcome for outcome in outcomes if outcome is not None]
    assert len(refused) == 10
    assert {type(error) for error in refused} == {errors.FailedPrecondition}


class HesitantStorage(MemoryStorage):
    """Takes its time with every answer and every change that it tells of, each time another."""

    def __init__(self, source: random.Random) -> None:
        super().__init__()
        self._source = source

    async def _hesitate(self) -> None:
        await asyncio.sleep(self._source.choice([0, 0.001, 0.02, 0.2]))

    async def get(self, key: str) -> Stored | None:
        await self._hesitate()
        found = await super().get(key)
        await self._hesitate()
        return found

    async def update(self, key: str, value: bytes, **options: Any) -> int:
        await self._hesitate()
        revision = await super().update(key, value, **options)
        await self._hesitate()
        return revision

    async def watch(self, prefix: str, *, revision: int, nudge: Nudge | None = None) -> AsyncIterator[StorageBatch]:
        async for batch in super().watch(prefix, revision=revision, nudge=nudge):
            await self._hesitate()
            yield batch


async def _pair(stack: AsyncExitStack, source: random.Random) -> list[Api]:
    """Clients of two apiservers on one hesitant store."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    place = Place.create(folder, VirtualClock(asyncio.get_running_loop()), source)
    tls = place.identity("apiserver", "kube-apiserver", "system:masters")
    storage = HesitantStorage(source)
    clients = []
    for number in range(2):
        address = f"unix:{folder / f'{number}.sock'}"
        settings = Settings(addresses=[address], tls=tls, compaction_interval_s=0)
        server = Apiserver(settings, storage, node_channel=node_channels(tls), clock=place.clock, source=source)
        await server.start()
        stack.push_async_callback(server.stop, 0)
        await server.ready()
        context = place.context("admin", "system:masters")
        clients.append(
            await stack.enter_async_context(connect_to(type(context)(**{**vars(context), "server": address})))
        )
    return clients


def _overcommitted(pods: Sequence[Pod], offered: dict[str, Decimal]) -> str:
    """The node that has more on it than it has; empty when none has."""
    taken: dict[str, Decimal] = {}
    for each in pods:
        if each.spec.node_name:
            amount = quantity.parse(each.spec.containers[0].resources.requests["cpu"].value)
            taken[each.spec.node_name] = taken.get(each.spec.node_name, Decimal(0)) + amount
    return next((f"{node}: {amount}" for node, amount in taken.items() if amount > offered[node]), "")


@pytest.mark.parametrize("seed", range(SEEDS))
def test_two_apiservers_whose_caches_lag_never_overcommit_a_node(seed: int) -> None:
    source = random.Random(seed)

    async def main() -> None:
        async with AsyncExitStack() as stack:
            clients = await _pair(stack, source)
            offered = {"n1": Decimal(2), "n2": Decimal(1)}
            for node, cpu in offered.items():
                await add_node(clients[0], node, cpu=str(cpu), pods="110")
            names = [f"p{number}" for number in range(24)]
            for name in names:
                await clients[0].pods.create(asking(name, cpu=f"{source.choice([100, 250, 400])}m"))

            async def schedule(api: Api) -> None:
                """A scheduler that looks at nothing: each pod goes to any node, and is tried again later."""
                for _ in range(3):
                    for name in source.sample(names, len(names)):
                        try:
                            await bind(api, name, source.choice(["n1", "n2"]))
                            if source.random() < 0.1:
                                await api.pods.delete(name, namespace="default", grace_period_s=0)
                        except (errors.FailedPrecondition, errors.Conflict, errors.NotFound):
                            continue
                        overfull = _overcommitted(await clients[0].pods.list(namespace="default"), offered)
                        assert not overfull, f"seed {seed}: {overfull}"

            await asyncio.gather(*(schedule(api) for api in (*clients, *clients)))
            left = await clients[0].pods.list(namespace="default")
            assert sum(bool(each.spec.node_name) for each in left) >= 5, "hardly anything was bound"

    run_virtual(main())
