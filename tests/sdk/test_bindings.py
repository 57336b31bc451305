"""Many bindings over one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from steersman import errors, testing
from steersman.core.v1 import Pod
from steersman.core.v1.pod_pb2 import PodBindManyRequest, PodBindManyResponse
from steersman.streams.bindings import Bindings


def pod(name: str) -> Pod:
    made = Pod(metadata={"name": name, "namespace": "default"})
    made.spec.containers.add(name="main", image="web:1")
    return made


async def test_pods_are_bound_at_the_same_time_and_each_is_told_its_own_outcome() -> None:
    async with testing.control_plane("apiserver") as plane:
        api = plane.api
        await plane.node("n1")
        await plane.node("n2", pods="0")
        names = [f"p{number}" for number in range(100)]
        await asyncio.gather(*(api.pods.create(pod(name)) for name in names))
        async with api.pods.bindings() as bindings:
            versions = await asyncio.gather(*(bindings.bind(name, node_name="n1") for name in names[:90]))
            assert len(set(versions)) == 90
            assert (await api.pods.get("p7")).spec.node_name == "n1"
            with pytest.raises(errors.Conflict, match="bound to node 'n1' already"):
                await bindings.bind("p7", node_name="n1")
            with pytest.raises(errors.NotFound, match="nobody"):
                await bindings.bind("nobody", node_name="n1")
            with pytest.raises(errors.Conflict, match="uid"):
                await bindings.bind("p95", node_name="n1", uid="another")
            with pytest.raises(errors.FailedPrecondition, match="does not fit on node 'n2'") as caught:
                await bindings.bind("p95", node_name="n2")
            assert caught.value.reason == "NODE_FULL"
        assert sum(one.spec.node_name == "n1" for one in await api.pods.list(namespace="default")) == 90


async def test_who_may_not_bind_everywhere_is_refused() -> None:
    async with testing.control_plane("apiserver") as plane:
        nobody = await plane.connect("somebody")
        async with nobody.pods.bindings() as bindings:
            for _ in range(2):
                with pytest.raises(errors.Forbidden, match="somebody"):
                    await bindings.bind("p", node_name="n1")


async def test_a_stream_that_breaks_ends_what_was_under_way_and_the_next_opens_another() -> None:
    opened = 0

    async def stream(requests: AsyncIterator[PodBindManyRequest]) -> AsyncGenerator[PodBindManyResponse, None]:
        nonlocal opened
        opened += 1
        async for request in requests:
            if request.bind.name == "breaks":
                raise errors.Unavailable("the apiserver went away")
            if request.bind.name != "waits":
                yield PodBindManyResponse(id=request.id, resource_version=str(opened))

    async with Bindings(stream, "default") as bindings:
        waiting = asyncio.create_task(bindings.bind("waits", node_name="n"))
        assert await bindings.bind("a", node_name="n") == "1"
        with pytest.raises(errors.Unavailable, match="went away"):
            await bindings.bind("breaks", node_name="n")
        with pytest.raises(errors.Unavailable, match="went away"):
            await waiting
        assert await bindings.bind("a", node_name="n") == "2"
        left = asyncio.create_task(bindings.bind("waits", node_name="n"))
        assert await bindings.bind("a", node_name="n") == "2"
    with pytest.raises(errors.Unavailable):
        await left


async def test_a_stream_that_is_closed_before_it_begins_leaves_nobody_waiting() -> None:
    async def stream(requests: AsyncIterator[PodBindManyRequest]) -> AsyncGenerator[PodBindManyResponse, None]:
        async for request in requests:
            yield PodBindManyResponse(id=request.id, resource_version="1")

    bindings = Bindings(stream, "default")
    waiting = asyncio.create_task(bindings.bind("a", node_name="n"))
    # The binding has asked for its stream, and the stream has not had its turn.
    await asyncio.sleep(0)
    await bindings.close()
    with pytest.raises(errors.Unavailable, match="closed"):
        await asyncio.wait_for(waiting, 10)
    assert await bindings.bind("a", node_name="n") == "1"
    await bindings.close()
