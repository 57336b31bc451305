"""`python -m scheduler` against an apiserver: pods get nodes, or a reason."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from steersman.config import load
from steersman.coordination.v1 import Lease
from steersman.core.v1 import Event, Pod
from steersman.scheduler.v1 import ExplainRequest, ExplainResponse, PodReference
from steersman.service.tls import channel_credentials

from tests.netproxy.standin import StandIn
from tests.scheduler.objects import node, pod
from tests.waiting import eventually


class RunningScheduler:
    """The scheduler as a process of its own."""

    def __init__(self, api: StandIn, folder: Path, name: str = "scheduler", *flags: str) -> None:
        self.api = api
        self.log = folder / f"{name}.log"
        self.socket = f"unix:{folder / name}.sock"
        self.flags = flags
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("a") as log:
            self.process = await asyncio.create_subprocess_exec(
                *[sys.executable, "-m", "scheduler", "--config", str(self.api.config), "--bind-address", self.socket],
                *["--metrics-address", "", "--tls-cert-file", str(self.api.tls.certificate), "--log-level", "debug"],
                *["--tls-private-key-file", str(self.api.tls.key), "--client-ca-file", str(self.api.tls.authority)],
                *self.flags,
                stderr=log,
            )

    async def end(self, signum: signal.Signals) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signum)
        return await self.process.wait()

    async def explain(self, request: ExplainRequest) -> ExplainResponse:
        context = load(self.api.config)
        credentials = channel_credentials(context.authority, context.certificate, context.key)
        options = [("grpc.ssl_target_name_override", "apiserver")]
        async with grpc.aio.secure_channel(self.socket, credentials, options=options) as channel:
            call: Any = channel.unary_unary(
                "/steersman.scheduler.v1.Scheduler/Explain",
                request_serializer=ExplainRequest.SerializeToString,
                response_deserializer=ExplainResponse.FromString,
            )
            answer: ExplainResponse = await call(request, timeout=5, wait_for_ready=True)
            return answer


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[StandIn]:
    folder = tmp_path / "api"
    folder.mkdir()
    async with StandIn(folder) as standin:
        yield standin


@pytest.fixture
async def scheduler(api: StandIn, tmp_path: Path) -> AsyncIterator[RunningScheduler]:
    running = RunningScheduler(api, tmp_path)
    await running.start()
    try:
        yield running
    finally:
        await running.end(signal.SIGKILL)


def where(api: StandIn, name: str) -> str:
    return str(api.get(Pod, name).spec.node_name)


def condition(api: StandIn, name: str) -> Any:
    return next((one for one in api.get(Pod, name).status.conditions if one.type == "PodScheduled"), None)


async def test_pods_are_spread_over_the_nodes_that_have_room(api: StandIn, scheduler: RunningScheduler) -> None:
    for number in range(3):
        api.put(node(f"n{number}", cpu="1"))
    api.put(node("cordoned", unschedulable=True))
    for number in range(30):
        api.put(pod(f"p{number}", cpu="100m"))
    await eventually(lambda: len(api.binds) == 30)
    assert Counter(name for _, name in api.binds) == {"n0": 10, "n1": 10, "n2": 10}
    assert {one.reason for one in api.all(Event)} <= {"Scheduled"}


async def test_a_pod_without_a_node_says_why_and_gets_one_when_there_is_room(
    api: StandIn, scheduler: RunningScheduler
) -> None:
    api.put(node("small", cpu="1"))
    api.put(node("tainted", cpu="4", taints=[{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]))
    api.put(node("tainted-too", cpu="4", taints=[{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]))
    api.put(pod("big", cpu="2"))
    written = await eventually(lambda: condition(api, "big"))
    assert (written.status, written.reason) == ("False", "Unschedulable")
    assert written.message == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {dedicated: db}. "
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )
    await eventually(lambda: [one for one in api.all(Event) if one.reason == "FailedScheduling"])
    revision = api.revision
    api.put(node("large", cpu="4"))
    await eventually(lambda: where(api, "big") == "large")
    assert int(api.revision) - int(revision) < 6, "it did not try again and again"


async def test_what_a_deleted_pod_leaves_is_given_to_one_that_waits(api: StandIn, scheduler: RunningScheduler) -> None:
    api.put(node("n1", cpu="1"))
    first = api.put(pod("first", cpu="1"))
    await eventually(lambda: where(api, "first"))
    api.put(pod("second", cpu="1"))
    await eventually(lambda: condition(api, "second"))
    api.remove(first)
    await eventually(lambda: where(api, "second") == "n1")


async def test_a_binding_that_fails_is_undone_and_made_again(api: StandIn, scheduler: RunningScheduler) -> None:
    api.put(node("n1", cpu="1"))
    api.refuse_binds = 1
    api.put(pod("p", cpu="1"))
    await eventually(lambda: where(api, "p") == "n1")


async def test_a_pod_of_higher_priority_pushes_out_one_of_lower(api: StandIn, scheduler: RunningScheduler) -> None:
    api.put(node("n1", cpu="1"))
    api.put(pod("low", cpu="1", priority=0))
    await eventually(lambda: where(api, "low"))
    api.put(pod("high", cpu="1", priority=10))
    await eventually(lambda: where(api, "high") == "n1")
    assert api.get(Pod, "low") is None
    assert api.get(Pod, "high").status.nominated_node_name == "n1"
    await eventually(lambda: "Preempted" in {one.reason for one in api.all(Event)})


async def test_pods_of_other_schedulers_and_gated_ones_are_left_alone(
    api: StandIn, scheduler: RunningScheduler
) -> None:
    api.put(node("n1"))
    api.put(pod("foreign", schedulerName="other"))
    gated = api.put(pod("gated", schedulingGates=[{"name": "wait"}]))
    assert (await eventually(lambda: condition(api, "gated"))).reason == "SchedulingGated"
    api.put(pod("ours"))
    await eventually(lambda: where(api, "ours"))
    assert not where(api, "foreign")
    assert not where(api, "gated")
    opened = Pod()
    opened.CopyFrom(gated)
    opened.spec.ClearField("scheduling_gates")
    api.put(opened)
    await eventually(lambda: where(api, "gated") == "n1")


async def test_it_carries_on_after_being_killed(api: StandIn, scheduler: RunningScheduler) -> None:
    for number in range(2):
        api.put(node(f"n{number}", cpu="1"))
    for number in range(10):
        api.put(pod(f"p{number}", cpu="100m"))
    await eventually(lambda: len(api.binds) == 10)
    await scheduler.end(signal.SIGKILL)
    for number in range(10, 20):
        api.put(pod(f"p{number}", cpu="100m"))
    api.put(pod("one-too-many", cpu="100m"))
    await scheduler.start()
    await eventually(lambda: len(api.binds) == 20)
    assert Counter(name for _, name in api.binds) == {"n0": 10, "n1": 10}
    waiting = [name for name in ("one-too-many", *(f"p{n}" for n in range(20))) if not where(api, name)]
    assert len(waiting) == 1, "what was there before the restart is counted"
    assert await scheduler.end(signal.SIGTERM) == 0


async def test_an_idle_scheduler_binds_each_pod_as_it_comes(api: StandIn, scheduler: RunningScheduler) -> None:
    api.put(node("n1"))
    for number in range(10):
        name = f"p{number}"
        api.put(pod(name))
        await eventually(lambda name=name: where(api, name) == "n1")


async def test_explain_says_what_every_plugin_thinks_of_every_node(api: StandIn, scheduler: RunningScheduler) -> None:
    api.put(node("full", cpu="1"))
    api.put(pod("filler", cpu="1", on="full"))
    api.put(node("free", cpu="2"))
    api.put(node("free-larger", cpu="8"))
    api.put(pod("web", cpu="500m", memory="1Gi"))
    await eventually(lambda: where(api, "web") == "free-larger")

    past = await scheduler.explain(ExplainRequest(pod=PodReference(name="web"), past=True))
    assert past.node == "free-larger"
    assert [verdict.node for verdict in past.nodes] == ["free-larger", "free", "full"]
    assert past.nodes[2].refusals[0].code == "INSUFFICIENT_RESOURCES"
    assert past.decided.seconds

    wish = pod("wish", cpu="3")
    answer = await scheduler.explain(ExplainRequest(hypothetical=wish))
    assert answer.node == "free-larger"
    assert set(answer.nodes[0].scores) >= {"NodeResourcesFit", "TaintToleration", "PodTopologySpread"}
    assert answer.nodes[0].total == sum(answer.nodes[0].scores.values())
    assert [(one.text, one.nodes) for one in answer.reasons] == [("Insufficient cpu", 2)]

    too_much = await scheduler.explain(ExplainRequest(hypothetical=pod("wish", cpu="100")))
    assert not too_much.node
    assert too_much.message == "0/3 nodes are available: 3 Insufficient cpu."
    assert too_much.nearest.refusals[0].resolvable is False

    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await scheduler.explain(ExplainRequest(hypothetical=pod("wish", cpu="lots")))
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "'lots' is not a quantity" in (failure.value.details() or "")


async def test_of_two_schedulers_one_decides_and_the_other_takes_over(api: StandIn, tmp_path: Path) -> None:
    flags = ["--leader-elect", "--leader-elect-lease-duration=1", "--leader-elect-renew-deadline=0.6"]
    both = [RunningScheduler(api, tmp_path, f"s{n}", *flags, "--leader-elect-retry-period=0.1") for n in range(2)]
    try:
        for one in both:
            await one.start()
        for number in range(4):
            api.put(node(f"n{number}", cpu="1"))
        for number in range(20):
            api.put(pod(f"p{number}", cpu="100m"))
        await eventually(lambda: len(api.binds) == 20)
        lease = api.get(Lease, "kube-scheduler", "kube-system")
        leading = [one for one in both if "leading" in one.log.read_text()]
        assert len(leading) == 1
        assert lease.spec.holder_identity in leading[0].log.read_text()

        await leading[0].end(signal.SIGKILL)
        api.put(pod("after-a-crash", cpu="100m"))
        await eventually(lambda: where(api, "after-a-crash"))
        assert api.get(Lease, "kube-scheduler", "kube-system").spec.lease_transitions == 1

        # One that stops in good order gives the lease back at once.
        await leading[0].start()
        other = next(one for one in both if one is not leading[0])
        await eventually(lambda: leading[0].log.read_text().count("everything read") == 2)
        assert await other.end(signal.SIGTERM) == 0
        assert not api.get(Lease, "kube-scheduler", "kube-system").spec.holder_identity or (
            leading[0].log.read_text().count("leading") == 2
        )
        api.put(pod("after-a-stop", cpu="100m"))
        await eventually(lambda: where(api, "after-a-stop"))
        assert len(api.binds) == len({name for name, _ in api.binds}) == 22
    finally:
        for one in both:
            await one.end(signal.SIGKILL)
