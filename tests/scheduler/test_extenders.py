"""Services of others have a say in decisions, and cannot hold them up for ever."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from steersman.scheduler.v1 import JudgeRequest, JudgeResponse
from steersman.service.server import GrpcServer

from tests.netproxy.standin import StandIn
from tests.scheduler.objects import node, pod
from tests.scheduler.test_running import RunningScheduler, condition, where
from tests.waiting import eventually

SERVICE = "steersman.scheduler.v1.Extender"
Judge = Callable[[JudgeRequest], Awaitable[JudgeResponse]]


class Cluster:
    """A scheduler with one extender, whose behaviour a test sets."""

    def __init__(self, api: StandIn, scheduler: RunningScheduler) -> None:
        self.api = api
        self.scheduler = scheduler
        self.judge: Judge = self.agree
        self.asked: list[JudgeRequest] = []

    async def agree(self, _request: JudgeRequest) -> JudgeResponse:
        return JudgeResponse()

    async def answer(self, request: JudgeRequest, context: Any) -> JudgeResponse:
        self.asked.append(request)
        try:
            return await self.judge(request)
        except RuntimeError as error:
            await context.abort(grpc.StatusCode.INTERNAL, str(error))
            raise AssertionError("abort raises") from error


async def cluster_with(folder: Path, **extender: Any) -> AsyncIterator[Cluster]:
    (folder / "api").mkdir()
    async with StandIn(folder / "api") as api:
        address = f"unix:{folder / 'extender.sock'}"
        configured = {"name": "planner", "address": address, "serverName": "apiserver", **extender}
        profiles = folder / "profiles.yaml"
        profiles.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "kubescheduler.config.k8s.io/v1",
                    "kind": "KubeSchedulerConfiguration",
                    "profiles": [{}],
                    "extenders": [configured],
                }
            )
        )
        scheduler = RunningScheduler(api, folder, "scheduler", "--profiles", str(profiles))
        cluster = Cluster(api, scheduler)
        handler = grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Judge": grpc.unary_unary_rpc_method_handler(
                    cluster.answer,
                    request_deserializer=JudgeRequest.FromString,
                    response_serializer=JudgeResponse.SerializeToString,
                )
            },
        )
        server = GrpcServer([handler], services=[])
        server.listen(address, api.tls)
        await server.start()
        for name in ("n1", "n2", "n3"):
            api.put(node(name, cpu="2"))
        await scheduler.start()
        try:
            yield cluster
        finally:
            await scheduler.end(signal.SIGKILL)
            await server.stop(0)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async for made in cluster_with(tmp_path, weight=100, timeoutSeconds=1):
        yield made


@pytest.fixture
async def lenient(tmp_path: Path) -> AsyncIterator[Cluster]:
    async for made in cluster_with(
        tmp_path, ignorable=True, timeoutSeconds=3, managedResources=["example.com/special"]
    ):
        yield made


async def test_it_refuses_and_prefers(cluster: Cluster) -> None:
    async def judge(request: JudgeRequest) -> JudgeResponse:
        answer = JudgeResponse()
        answer.nodes.add(node="n1", refusal="node(s) are too hot")
        if "n3" in request.nodes:
            answer.nodes.add(node="n3", score=100)
        return answer

    cluster.judge = judge
    for number in range(20):
        cluster.api.put(pod(f"p{number}", cpu="100m"))
    await eventually(lambda: len(cluster.api.binds) == 20)
    assert {name for _, name in cluster.api.binds} == {"n3"}, "its weight outdoes all plugins while there is room"
    assert set(cluster.asked[0].nodes) == {"n1", "n2", "n3"}
    assert cluster.asked[0].pod.spec.containers
    cluster.api.put(pod("one-more", cpu="100m"))
    await eventually(lambda: where(cluster.api, "one-more") == "n2")


async def test_when_it_refuses_all_the_pod_says_so(cluster: Cluster) -> None:
    async def judge(request: JudgeRequest) -> JudgeResponse:
        answer = JudgeResponse()
        for name in request.nodes:
            answer.nodes.add(node=name, refusal="node(s) are too hot")
        return answer

    cluster.judge = judge
    cluster.api.put(node("full", cpu="0"))
    cluster.api.put(pod("p", cpu="1"))
    written = await eventually(lambda: condition(cluster.api, "p"))
    assert written.message == "0/4 nodes are available: 1 Insufficient cpu, 3 node(s) are too hot."
    cluster.judge = cluster.agree
    cluster.api.put(node("cool", cpu="1"))
    await eventually(lambda: where(cluster.api, "p"))


async def nonsense(request: JudgeRequest) -> JudgeResponse:
    answer = JudgeResponse()
    answer.nodes.add(node="no-such-node", score=5)
    return answer


async def out_of_range(request: JudgeRequest) -> JudgeResponse:
    answer = JudgeResponse()
    answer.nodes.add(node="n1", score=101)
    return answer


async def failing(request: JudgeRequest) -> JudgeResponse:
    raise RuntimeError("out of order")


async def hanging(request: JudgeRequest) -> JudgeResponse:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("judge", "words"),
    [
        (nonsense, "it was not asked about node 'no-such-node'"),
        (out_of_range, "score 101 of n1 is not from 0 to 100"),
        (failing, "out of order"),
        (hanging, "Deadline Exceeded"),
    ],
)
async def test_a_pod_that_needs_it_waits_until_it_answers_well(cluster: Cluster, judge: Judge, words: str) -> None:
    cluster.judge = judge
    cluster.api.put(pod("p"))
    written = await eventually(lambda: condition(cluster.api, "p"))
    assert written.reason == "SchedulerError"
    assert "extender planner" in written.message
    assert words in written.message
    cluster.judge = cluster.agree
    await eventually(lambda: where(cluster.api, "p"))


@pytest.mark.parametrize("judge", [nonsense, failing, hanging])
async def test_one_that_can_be_ignored_holds_nothing_up(lenient: Cluster, judge: Judge) -> None:
    lenient.judge = judge
    for name in ("n1", "n2", "n3"):
        lenient.api.put(node(name, cpu="2", **{"example.com/special": "5"}))
    lenient.api.put(pod("special", requests={"example.com/special": "1"}))
    lenient.api.put(pod("ordinary"))
    await eventually(lambda: where(lenient.api, "ordinary") and where(lenient.api, "special"))
    assert [request.pod.metadata.name for request in lenient.asked] == ["special"], "only what concerns it"
