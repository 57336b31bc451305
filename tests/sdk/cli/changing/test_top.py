"""`steer top` and the apiserver's service behind it, with agents of the test's own on the nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from steersman.cli import usage
from steersman.client import Api
from steersman.core.v1 import Node
from steersman.metrics.v1 import PodMetrics
from steersman.nodeagent.v1 import ContainerUsage, GetUsageRequest, NodeUsage
from steersman.pki import Authority
from steersman.service.server import GrpcServer
from steersman.service.tls import TLSFiles

from apiserver.bootstrap import Apiserver, Settings
from apiserver.rpc import metrics
from apiserver.storage.memory import MemoryStorage
from apiserver.strategy import ServiceRange
from tests.apiserver.conftest import Served
from tests.apiserver.objects import pod
from tests.sdk.cli.changing.conftest import Steer, command_line
from tests.waiting import eventually


class Agent:
    """A node's agent that says what it was told to; without it, never anything."""

    def __init__(self) -> None:
        self.usage: NodeUsage | None = NodeUsage()
        self.asked: list[bool] = []
        self._server = GrpcServer([self._handler()], services=["steersman.nodeagent.v1.Usages"])
        self.port = self._server.listen("127.0.0.1:0", None)

    def _handler(self) -> grpc.GenericRpcHandler:
        async def get(request: GetUsageRequest, context: Any) -> NodeUsage:
            self.asked.append(request.without_containers)
            if self.usage is None:
                await asyncio.Event().wait()
            assert self.usage is not None
            return self.usage

        method = grpc.unary_unary_rpc_method_handler(
            get, request_deserializer=GetUsageRequest.FromString, response_serializer=NodeUsage.SerializeToString
        )
        return grpc.method_handlers_generic_handler("steersman.nodeagent.v1.Usages", {"Get": method})

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(0)

    def uses(self, nanocores: int, memory: int, *containers: tuple[str, str, int, int]) -> None:
        """What the node uses, and its containers: uid of the pod, name, billionths of a processor, bytes."""
        self.usage = NodeUsage()
        self.usage.node.cpu_nanocores, self.usage.node.memory_bytes = nanocores, memory
        self.usage.node.time.seconds = 1_800_000_000
        for uid, name, cpu, used in containers:
            made = ContainerUsage(pod_uid=uid, name=name)
            made.usage.cpu_nanocores, made.usage.memory_bytes = cpu, used
            made.usage.time.seconds = 1_800_000_000
            self.usage.containers.append(made)


@pytest.fixture
async def served(identities: tuple[Path, Authority], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """An apiserver that reaches agents without TLS, and gives each half a second."""
    monkeypatch.setattr(metrics, "NODE_S", 0.5)
    folder, authority = identities
    tls = TLSFiles(folder / "apiserver.crt", folder / "apiserver.key", folder / "ca.crt")
    settings = Settings(addresses=["localhost:0"], tls=tls, ranges=ServiceRange("10.96.0.0/24", 30000, 30005))
    storage = MemoryStorage()
    channels: list[grpc.aio.Channel] = []

    def node_channel(_node: str, address: str) -> grpc.aio.Channel:
        channels.append(grpc.aio.insecure_channel(address))
        return channels[-1]

    apiserver = Apiserver(settings, storage, node_channel=node_channel)
    made = Served(apiserver, storage, folder, authority)
    await apiserver.start()
    try:
        await apiserver.ready()
        yield made
    finally:
        for api in made.opened:
            await api.close()
        for channel in channels:
            await channel.close()
        await apiserver.stop(grace_s=0)


@pytest.fixture
async def agents(api: Api) -> AsyncIterator[dict[str, Agent]]:
    """Nodes n1 and n2 with their agents; n1 has two processors and 100 MiB for pods."""
    made = {"n1": Agent(), "n2": Agent()}
    for name, agent in made.items():
        await agent.start()
        await make_node(api, name, agent.port)
    yield made
    for agent in made.values():
        await agent.stop()


async def make_node(api: Api, name: str, port: int) -> None:
    node = Node()
    node.metadata.name = name
    node.metadata.labels["name"] = name
    node = await api.nodes.create(node)
    for has in (node.status.allocatable, node.status.capacity):
        has["cpu"].value, has["memory"].value, has["pods"].value = "2", "100Mi", "110"
    if port:
        node.status.addresses.add(type="InternalIP", address="127.0.0.1")
        node.status.daemon_endpoints.kubelet_endpoint.port = port
    await api.nodes.update_status(node)


async def make_pod(api: Api, name: str, node: str, **labels: str) -> str:
    return (await api.pods.create(pod(name, node=node, **labels))).metadata.uid


MIB = 1024 * 1024


async def test_what_pods_use(api: Api, steer: Steer, agents: dict[str, Agent]) -> None:
    first, second = await make_pod(api, "a", "n1", app="x"), await make_pod(api, "b", "n2")
    await make_pod(api, "quiet", "n2")
    agents["n1"].uses(0, 0, (first, "web", 250_000_000, 30 * MIB), (first, "side", 1, 5 * MIB), ("other", "c", 9, 9))
    agents["n2"].uses(0, 0, (second, "c", 10_000_000, 100 * MIB))
    lines = [line.split() for line in (await steer.ok("top", "pods")).splitlines()]
    assert lines == [["NAME", "CPU(cores)", "MEMORY(bytes)"], ["a", "251m", "35Mi"], ["b", "10m", "100Mi"]]
    by_memory = await steer.ok("top", "pod", "-A", "--sort-by", "memory", "--sum", "--no-headers")
    assert [line.split() for line in by_memory.splitlines()] == [
        ["default", "b", "10m", "100Mi"],
        ["default", "a", "251m", "35Mi"],
        ["total", "261m", "135Mi"],
    ]
    inside = await steer.ok("top", "pod", "a", "--containers", "--no-headers")
    assert [line.split() for line in inside.splitlines()] == [["a", "side", "1m", "5Mi"], ["a", "web", "250m", "30Mi"]]
    agents["n2"].asked.clear()
    assert (await steer.ok("top", "pods", "-l", "app=x", "--no-headers")).split()[0] == "a"
    # Only nodes that have such pods are asked.
    assert not agents["n2"].asked
    on_second = await steer.ok("top", "pods", "--field-selector", "spec.nodeName=n2", "--no-headers")
    assert [line.split()[0] for line in on_second.splitlines()] == ["b"]


async def test_what_nodes_use(steer: Steer, agents: dict[str, Agent]) -> None:
    agents["n1"].uses(500_000_000, 25 * MIB)
    agents["n2"].uses(1_000_000_000, 50 * MIB)
    lines = [line.split() for line in (await steer.ok("top", "nodes", "--sort-by", "cpu")).splitlines()]
    assert lines[1:] == [["n2", "1000m", "50%", "50Mi", "50%"], ["n1", "500m", "25%", "25Mi", "25%"]]
    assert all(agents["n1"].asked)
    one = await steer.ok("top", "node", "-l", "name=n1", "--no-headers", "--show-capacity")
    assert one.split()[0] == "n1"


async def test_nodes_that_do_not_answer_are_told_of_and_not_waited_for(
    api: Api, steer: Steer, agents: dict[str, Agent]
) -> None:
    uid = await make_pod(api, "a", "n1")
    await make_pod(api, "b", "n2")
    await make_node(api, "mute", 0)
    agents["n1"].uses(1, MIB, (uid, "c", 1, MIB))
    agents["n2"].usage = None
    shown = await steer("top", "nodes")
    assert shown.code == 0, shown
    assert [line.split() for line in shown.out.splitlines()[2:]] == [
        ["mute", *["<unknown>"] * 4],
        ["n2", *["<unknown>"] * 4],
    ]
    assert "warning: node mute has not answered: it has not said where its agent listens" in shown.err
    assert "warning: node n2 has not answered" in shown.err
    pods = await steer("top", "pods")
    assert (pods.out.splitlines()[1].split()[0], len(pods.out.splitlines())) == ("a", 2)
    assert "warning: node n2 has not answered" in pods.err
    await agents["n2"].stop()
    assert "warning: node n2 has not answered" in (await steer("top", "pods")).err


async def test_who_may_see_what_is_used(api: Api, served: Served, steer: Steer, agents: dict[str, Agent]) -> None:
    uid = await make_pod(api, "a", "n1")
    agents["n1"].uses(1, MIB, (uid, "c", 1, MIB))
    nobody = command_line(served, steer.folder, "ann")
    for words in (["top", "nodes"], ["top", "pods"]):
        done = await nobody(*words)
        assert (done.code, done.err.count("\n")) == (1, 1), done
        assert "ann" in done.err
    await steer.ok("create", "rolebinding", "ann", "--clusterrole", "view", "--user", "ann")

    async def allowed() -> bool:
        return "a" in (await nobody("top", "pods")).out

    await eventually(allowed)
    assert (await nobody("top", "pods", "-A")).code == 1


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("top", 2, ""),
        ("top pod nope", 4, "nope"),
        ("top node nope", 4, "nope"),
        ("top pod a -l x=y", 2, "not both"),
        ("top pods -l x=", 0, "nothing is measured"),
        ("top pods -l =", 1, "="),
        ("top pods --field-selector spec.unicorn=1", 1, "spec.unicorn"),
        ("top pods --sort-by name", 2, "name"),
    ],
)
async def test_words_that_make_no_sense(steer: Steer, line: str, code: int, says: str) -> None:
    done = await steer(*line.split())
    assert done.code == code, done
    assert says in done.err, done


def test_figures_as_people_read_them() -> None:
    metrics = PodMetrics()
    for cpu, memory in (("1500000n", "1536Ki"), ("1n", "1Gi")):
        made = metrics.containers.add().usage
        made["cpu"].value, made["memory"].value = cpu, memory
    total = usage.of_pod(metrics)
    assert (usage.cores(total.cpu), usage.mebibytes(total.memory)) == ("2m", "1025Mi")
    assert usage.share(total.memory, 2 * total.memory) == "50%"
    assert usage.share(total.memory, total.memory * 0) == "<unknown>"
