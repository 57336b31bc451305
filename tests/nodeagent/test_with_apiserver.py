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

import pytest
from steersman.client import Api
from steersman.core.v1 import Pod
from steersman.errors import NotFound
from steersman.manifests.files import parse

from tests.nodeagent.cluster import condition
from tests.nodeagent.machine import Machine
from tests.nodeagent.test_real_pods import WEB
from tests.scheduler.control_plane import ROOT, ControlPlane
from tests.waiting import eventually

pytestmark = pytest.mark.root

PORT = 10250
METRICS_PORT = 10255
CALLER = Path(__file__).with_name("caller.py")


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


async def ask(agent: AgentProcess, identity: str, question: str) -> str:
    """What the agent answers to an identity; see caller.py."""
    command = [sys.executable, CALLER, agent.control_plane.folder, identity, str(PORT), question]
    return (await asyncio.to_thread(agent.machine.run, *command)).strip()


async def serving(agent: AgentProcess) -> bool:
    return await ask(agent, "node", "health") == "SERVING"


async def test_only_the_apiserver_may_ask_for_streams(agent: AgentProcess) -> None:
    async def answers() -> bool:
        return await serving(agent)

    await eventually(answers, 20)
    assert await ask(agent, "apiserver", "logs") == "NOT_FOUND"
    assert await ask(agent, "admin", "logs") == "NOT_FOUND"
    assert await ask(agent, "node", "logs") == "PERMISSION_DENIED"
    assert await ask(agent, "node", "reflect") == "described"
    assert "nodeagent_runtime_call_duration_seconds" in await asyncio.to_thread(metrics, agent)


def metrics(agent: AgentProcess) -> str:
    folder = agent.control_plane.folder
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "admin.crt", folder / "admin.key")
    with urllib.request.urlopen(f"https://127.0.0.1:{METRICS_PORT}/metrics", context=context) as answer:
        return answer.read().decode()
