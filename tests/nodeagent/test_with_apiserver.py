"""The agent as a process of its own against the real apiserver and store, with mutual TLS."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from steersman.client import Api
from steersman.core.v1 import Pod, PodLogsRequest, PodLogsResponse
from steersman.errors import NotFound
from steersman.manifests.files import parse

from nodeagent.rpc.streams import SERVICE
from tests.nodeagent.cluster import condition
from tests.nodeagent.machine import Machine
from tests.nodeagent.test_real_pods import WEB
from tests.scheduler.control_plane import ROOT, ControlPlane
from tests.waiting import eventually

pytestmark = pytest.mark.root

PORT = 10250
METRICS_PORT = 10255


class AgentProcess:
    """`python -m nodeagent` on the machine."""

    def __init__(self, machine: Machine, control_plane: ControlPlane) -> None:
        self.machine = machine
        self.control_plane = control_plane
        self.process: subprocess.Popen[bytes] | None = None
        self.config = control_plane.identity("node", "system:node:n1", "system:nodes")

    def start(self) -> None:
        with (self.machine.base / "nodeagent.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.machine.inside(
                    *[sys.executable, "-m", "nodeagent", "--node-name", "n1", "--config", self.config],
                    *["--bind-address", f"127.0.0.1:{PORT}", "--metrics-address", f"127.0.0.1:{METRICS_PORT}"],
                    *self.control_plane.tls("node"),
                    *["--container-runtime-endpoint", f"unix://{self.machine.socket}", "--node-ip", "10.1.0.1"],
                    *["--root-dir", self.machine.base / "agent", "--cni-conf-dir", self.machine.base / "cni"],
                    *["--cgroup-root", self.machine.cgroup_root],
                ),
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )

    def end(self, signum: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(signum)
        return self.process.wait(10)

    def log(self) -> str:
        return (self.machine.base / "nodeagent.log").read_text()


@pytest.fixture
async def agent(inside: Machine, tmp_path: Path) -> AsyncIterator[AgentProcess]:
    async with ControlPlane(tmp_path) as control_plane:
        made = AgentProcess(inside, control_plane)
        made.start()
        try:
            yield made
        finally:
            async with control_plane.connect() as api:
                for pod in await api.pods.list():
                    with contextlib.suppress(NotFound):
                        await api.pods.delete(pod.metadata.name, namespace="default", grace_period_s=1)

                async def empty() -> bool:
                    return not await api.pods.list()

                if made.process is None or made.process.poll() is not None:
                    made.start()
                try:
                    await eventually(empty, 20)
                finally:
                    made.end(signal.SIGTERM)
                    sys.stdout.write(made.log())


async def ready(api: Api, name: str) -> Pod:
    async def reached() -> Pod | None:
        pod = await api.pods.get(name, namespace="default")
        return pod if condition(pod, "Ready") == "True" else None

    return await eventually(reached, 20)


async def assign_network(api: Api, agent: AgentProcess) -> None:
    """Does what the controllers do with a new node."""

    async def registered() -> bool:
        assert agent.process is not None and agent.process.poll() is None, agent.log()
        with contextlib.suppress(NotFound):
            node = await api.nodes.get("n1")
            node.spec.pod_cidr = "10.244.1.0/24"
            node.spec.pod_cidrs[:] = ["10.244.1.0/24"]
            await api.nodes.update(node)
            return True
        return False

    await eventually(registered, 20)

    async def node_ready() -> bool:
        node = await api.nodes.get("n1")
        return any(each.type == "Ready" and each.status == "True" for each in node.status.conditions)

    await eventually(node_ready, 20)


async def test_a_pod_s_whole_life_and_an_agent_that_is_killed(agent: AgentProcess) -> None:
    async with agent.control_plane.connect() as api:
        await assign_network(api, agent)
        node = await api.nodes.get("n1")
        assert node.metadata.labels["kubernetes.io/hostname"] == "n1"
        assert node.status.node_info.container_runtime_version.startswith("containerd://1.")
        assert {each.type: each.address for each in node.status.addresses} == {
            "InternalIP": "10.1.0.1",
            "Hostname": "n1",
        }
        assert not node.spec.taints

        async def leased() -> bool:
            with contextlib.suppress(NotFound):
                lease = await api.leases.get("n1", namespace="kube-node-lease")
                return lease.spec.holder_identity == "n1" and lease.spec.HasField("renew_time")
            return False

        await eventually(leased)

        for manifest in parse(WEB, "web"):
            if isinstance(manifest.obj, Pod):
                manifest.obj.spec.node_name = "n1"
            await api.resource(type(manifest.obj)).create(manifest.obj)
        before = await ready(api, "web")
        container_id = before.status.container_statuses[0].container_id

        agent.end(signal.SIGKILL)
        agent.start()
        tag = container_id.removeprefix("containerd://")

        async def answers() -> bool:
            return await serving(agent)

        await eventually(answers, 10)
        assert tag in agent.machine.ctr("tasks", "ls")
        after = await ready(api, "web")
        assert after.status.container_statuses[0].container_id == container_id
        assert after.status.container_statuses[0].restart_count == 0

        assert agent.end(signal.SIGTERM) == 0
        assert tag in agent.machine.ctr("tasks", "ls")
        agent.start()
        await eventually(answers, 10)

        os.kill(pid_of(agent.machine, tag), signal.SIGKILL)

        async def back() -> bool:
            status = (await api.pods.get("web", namespace="default")).status.container_statuses[0]
            return status.restart_count == 1 and status.state.HasField("running")

        await eventually(back, 5)

        async def told() -> bool:
            reasons = {each.reason for each in await api.events.list(namespace="default")}
            return {"Pulled", "Created", "Started"} <= reasons

        await eventually(told)
        await api.pods.delete("web", namespace="default")

        async def gone() -> bool:
            return not await api.pods.list()

        await eventually(gone, 10)
        assert agent.machine.ctr("containers", "ls", "-q") == ""


def pid_of(machine: Machine, container_id: str) -> int:
    for line in machine.ctr("tasks", "ls").splitlines():
        words = line.split()
        if words and words[0] == container_id:
            return int(words[1])
    raise AssertionError(f"{container_id} has no task")


def channel_as(agent: AgentProcess, name: str) -> grpc.aio.Channel:
    folder = agent.control_plane.folder
    credentials = grpc.ssl_channel_credentials(
        (folder / "ca.crt").read_bytes(), (folder / f"{name}.key").read_bytes(), (folder / f"{name}.crt").read_bytes()
    )
    return grpc.aio.secure_channel(f"127.0.0.1:{PORT}", credentials)


async def serving(agent: AgentProcess) -> bool:
    async with channel_as(agent, "node") as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = await check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=1)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_only_the_apiserver_may_ask_for_streams(agent: AgentProcess) -> None:
    async def logs(name: str) -> grpc.StatusCode:
        async with channel_as(agent, name) as channel:
            call = channel.unary_stream(
                f"/{SERVICE}/Logs",
                request_serializer=PodLogsRequest.SerializeToString,
                response_deserializer=PodLogsResponse.FromString,
            )
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                async for _ in call(PodLogsRequest(namespace="default", name="nothing"), timeout=5):
                    pass
            return refused.value.code()

    async def answers() -> bool:
        return await serving(agent)

    await eventually(answers, 20)
    assert await logs("apiserver") is grpc.StatusCode.NOT_FOUND
    assert await logs("admin") is grpc.StatusCode.NOT_FOUND
    assert await logs("node") is grpc.StatusCode.PERMISSION_DENIED
    assert "nodeagent_runtime_call_duration_seconds" in await asyncio.to_thread(metrics, agent)
    async with channel_as(agent, "node") as channel:
        reflect = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        question = reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE)
        [answer] = [each async for each in reflect(iter([question]), timeout=5)]
        assert b"PortForward" in answer.file_descriptor_response.file_descriptor_proto[0]


def metrics(agent: AgentProcess) -> str:
    folder = agent.control_plane.folder
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "admin.crt", folder / "admin.key")
    with urllib.request.urlopen(f"https://127.0.0.1:{METRICS_PORT}/metrics", context=context) as answer:
        return answer.read().decode()
