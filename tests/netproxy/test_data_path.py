"""Real connections through real rules, in namespaces of the test."""

from __future__ import annotations

import json
import signal
import statistics
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.netproxy.conftest import RunningProxy
from tests.netproxy.objects import node, service, slice_of
from tests.netproxy.standin import StandIn
from tests.netproxy.world import Host, World
from tests.waiting import eventually

pytestmark = pytest.mark.root

CLUSTER_IP = "10.96.0.41"


class Cluster:
    """One node with two pods, and a host outside of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.node = world.node("n1", "192.0.2.11", "10.244.1.1")
        self.outsider = world.outside("out", "192.0.2.99")
        self.outsider.run("ip route add 10.96.0.0/16 via 192.0.2.11")
        self.a = world.pod(self.node, "a", "10.244.1.5")
        self.b = world.pod(self.node, "b", "10.244.1.6")
        self.client = world.pod(self.node, "c", "10.244.1.7")
        self.a.serve(8080)
        self.b.serve(8080)


@pytest.fixture
def cluster(world: World) -> Cluster:
    return Cluster(world)


@pytest.fixture
async def proxy(cluster: Cluster, api: StandIn, tmp_path: Path, iptables: str) -> AsyncIterator[RunningProxy]:
    api.put(node("n1", "192.0.2.11", "10.244.1.0/24"))
    running = RunningProxy(cluster.node, api, tmp_path, iptables, "--canary-period", "200ms")
    running.start()
    yield running
    await running.close()


def names(answers: list[tuple[str, float]]) -> Counter[str]:
    return Counter(answer.split()[0] for answer, _ in answers)


async def test_connections_spread_over_endpoints_from_everywhere(
    cluster: Cluster, api: StandIn, proxy: RunningProxy
) -> None:
    api.put(service("web", CLUSTER_IP, 80, type="NodePort", node_port=30080))
    api.put(slice_of("web", ["10.244.1.5", "10.244.1.6"], 8080))
    await proxy.in_force(api.revision)

    from_pod = await cluster.client.ask(CLUSTER_IP, 80, 60)
    assert names(from_pod).keys() == {"a", "b"}
    assert min(names(from_pod).values()) >= 10, "far from even"
    assert {answer.split()[1] for answer, _ in from_pod} == {"10.244.1.7"}, "a pod is seen with its own address"

    from_node = await cluster.node.ask(CLUSTER_IP, 80, 40)
    assert names(from_node).keys() == {"a", "b"}

    from_outside = await cluster.outsider.ask("192.0.2.11", 30080, 40)
    assert names(from_outside).keys() == {"a", "b"}
    assert {answer.split()[1] for answer, _ in from_outside} == {"10.244.1.1"}, "masqueraded: the answer comes back"

    to_cluster_ip = await cluster.outsider.ask(CLUSTER_IP, 80, 10)
    assert names(to_cluster_ip).keys() <= {"a", "b"}

    at_localhost = await cluster.node.ask("127.0.0.1", 30080, 10)
    assert names(at_localhost).keys() <= {"a", "b"}


async def test_a_pod_reaches_itself_through_its_service(cluster: Cluster, api: StandIn, proxy: RunningProxy) -> None:
    api.put(service("web", CLUSTER_IP, 80))
    api.put(slice_of("web", ["10.244.1.5"], 8080))
    await proxy.in_force(api.revision)
    answers = await cluster.a.ask(CLUSTER_IP, 80, 5)
    assert [answer for answer, _ in answers] == ["a 10.244.1.1"] * 5, "seen with the node's address, as it must be"


async def test_without_endpoints_connections_are_refused_at_once(
    cluster: Cluster, api: StandIn, proxy: RunningProxy
) -> None:
    api.put(service("web", CLUSTER_IP, 80, type="NodePort", node_port=30080))
    api.put(slice_of("web", ["10.244.1.5"], 8080))
    await proxy.in_force(api.revision)
    assert names(await cluster.client.ask(CLUSTER_IP, 80, 2)) == {"a": 2}

    api.put(slice_of("web", [], 8080))
    await proxy.in_force(api.revision)
    for host, address, port in (
        (cluster.client, CLUSTER_IP, 80),
        (cluster.node, CLUSTER_IP, 80),
        (cluster.outsider, "192.0.2.11", 30080),
    ):
        answers = await host.ask(address, port, 3)
        assert names(answers) == {"ConnectionRefusedError": 3}
        assert statistics.median(seconds for _, seconds in answers) < 0.5


async def test_a_client_stays_with_its_endpoint(cluster: Cluster, api: StandIn, proxy: RunningProxy) -> None:
    api.put(service("web", CLUSTER_IP, 80, session_affinity="ClientIP"))
    api.put(slice_of("web", ["10.244.1.5", "10.244.1.6"], 8080))
    await proxy.in_force(api.revision)
    assert len(names(await cluster.client.ask(CLUSTER_IP, 80, 30))) == 1


async def test_udp_flows_move_on_when_their_endpoint_goes(cluster: Cluster, api: StandIn, proxy: RunningProxy) -> None:
    cluster.a.serve(5353, "udp")
    cluster.b.serve(5353, "udp")
    api.put(service("dns", CLUSTER_IP, 53, protocol="UDP"))
    api.put(slice_of("dns", ["10.244.1.5"], 5353, protocol="UDP"))
    await proxy.in_force(api.revision)
    # One socket, so one tracked flow, across the change.
    process = cluster.client.start(
        [
            sys.executable,
            "-c",
            "import socket,sys\n"
            "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(3); s.connect(('10.96.0.41',53))\n"
            "for _ in sys.stdin:\n"
            "    s.send(b'x')\n"
            "    try: print(s.recv(99).decode(), flush=True)\n"
            "    except OSError as e: print(type(e).__name__, flush=True)\n",
        ]
    )

    def once() -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        return process.stdout.readline().split()[0]

    assert once() == "a"
    api.put(slice_of("dns", ["10.244.1.6"], 5353, protocol="UDP"))
    await proxy.in_force(api.revision)
    assert once() == "b"

    # Also when the change came while nobody watched.
    proxy.end(signal.SIGKILL)
    api.put(slice_of("dns", ["10.244.1.5"], 5353, protocol="UDP"))
    proxy.start()
    await proxy.in_force(api.revision)
    assert once() == "a"


async def test_rules_that_somebody_flushed_are_made_again(
    cluster: Cluster, api: StandIn, proxy: RunningProxy, iptables: str
) -> None:
    api.put(service("web", CLUSTER_IP, 80))
    api.put(slice_of("web", ["10.244.1.5", "10.244.1.6"], 8080))
    before = await proxy.in_force(api.revision)
    for table in ("nat", "filter"):
        cluster.node.run(f"{iptables} -t {table} -F")
        cluster.node.run(f"{iptables} -t {table} -X")
    await proxy.in_force(generation=before.generation + 1)
    assert names(await cluster.client.ask(CLUSTER_IP, 80, 20)).keys() == {"a", "b"}


async def test_no_connection_fails_while_it_is_killed_and_comes_back(
    cluster: Cluster, api: StandIn, proxy: RunningProxy
) -> None:
    api.put(service("web", CLUSTER_IP, 80))
    api.put(slice_of("web", ["10.244.1.5", "10.244.1.6"], 8080))
    await proxy.in_force(api.revision)
    loop = cluster.client.loop(CLUSTER_IP, 80)
    for signum in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        proxy.end(signum)
        # Changed while it was away: taken over without harm to what stays.
        api.put(service(f"other-{signum}", "10.96.0.50", 80))
        proxy.start()
        await proxy.in_force(api.revision)
    output, _ = loop.communicate("")
    seen = json.loads(output)
    assert seen["failures"] == []
    assert seen["answers"] > 50
    assert seen["longest_s"] < 0.9, "a lost packet is sent again after a second"


async def test_changes_elsewhere_do_not_disturb_connections(
    cluster: Cluster, api: StandIn, proxy: RunningProxy
) -> None:
    api.put(service("web", CLUSTER_IP, 80))
    api.put(slice_of("web", ["10.244.1.5", "10.244.1.6"], 8080))
    await proxy.in_force(api.revision)
    loop = cluster.client.loop(CLUSTER_IP, 80)
    for number in range(10):
        other = api.put(service("other", "10.96.0.50", 80 + number))
        api.put(slice_of("web", ["10.244.1.5", "10.244.1.6"][: 1 + number % 2], 8080))
        await proxy.in_force(api.revision)
        if number % 3 == 0:
            api.remove(other)
    output, _ = loop.communicate("")
    seen = json.loads(output)
    assert seen["failures"] == []
    assert seen["longest_s"] < 0.9


async def test_external_traffic_policy_local_keeps_the_source_address(
    cluster: Cluster, api: StandIn, proxy: RunningProxy
) -> None:
    api.put(service("web", CLUSTER_IP, 80, type="NodePort", node_port=30080, external_traffic_policy="Local"))
    piece = slice_of("web", ["10.244.1.5"], 8080)
    piece.endpoints[0].node_name = "n1"
    api.put(piece)
    await proxy.in_force(api.revision)
    assert [answer for answer, _ in await cluster.outsider.ask("192.0.2.11", 30080, 2)] == ["a 192.0.2.99"] * 2


HEALTH = """
import sys, urllib.request, urllib.error
try:
    answer = urllib.request.urlopen("http://192.0.2.11:32100/", timeout=3)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.headers["X-Load-Balancing-Endpoint-Weight"], answer.read().decode())
"""


async def test_a_load_balancer_can_ask_whether_there_are_endpoints_here(
    cluster: Cluster, api: StandIn, proxy: RunningProxy
) -> None:
    api.put(
        service(
            "web",
            CLUSTER_IP,
            80,
            type="LoadBalancer",
            node_port=30080,
            external_traffic_policy="Local",
            health_check_node_port=32100,
        )
    )
    piece = slice_of("web", ["10.244.1.5", "10.244.1.6"], 8080)
    for endpoint, name in zip(piece.endpoints, ("n1", "n2"), strict=True):
        endpoint.node_name = name
    api.put(piece)
    await proxy.in_force(api.revision)
    assert cluster.outsider.run([sys.executable, "-c", HEALTH]).startswith("200 1 {")
    piece.endpoints[0].node_name = "n2"
    api.put(piece)
    await proxy.in_force(api.revision)
    assert cluster.outsider.run([sys.executable, "-c", HEALTH]).startswith("503 0 {")


async def test_cleanup_leaves_nothing(cluster: Cluster, api: StandIn, proxy: RunningProxy, iptables: str) -> None:
    api.put(node("n2", "192.0.2.12", "10.244.2.0/24"))
    api.put(service("web", CLUSTER_IP, 80))
    api.put(slice_of("web", ["10.244.1.5"], 8080))
    await proxy.in_force(api.revision)
    await eventually(lambda: "10.244.2.0/24" in cluster.node.run("ip route"))
    proxy.end(signal.SIGTERM)
    assert names(await cluster.client.ask(CLUSTER_IP, 80, 3)) == {"a": 3}, "rules stay when it stops"
    cluster.node.run([sys.executable, "-m", "netproxy", "--cleanup", "--iptables-prefix", iptables])
    for table in ("nat", "filter"):
        assert "KUBE-" not in cluster.node.run(f"{iptables}-save -t {table}")
    assert "10.244.2.0/24" not in cluster.node.run("ip route")


async def test_pods_of_two_nodes_talk_and_services_cross_nodes(
    cluster: Cluster, api: StandIn, proxy: RunningProxy, tmp_path: Path, iptables: str
) -> None:
    world = cluster.world
    second = world.node("n2", "192.0.2.12", "10.244.2.1")
    far = world.pod(second, "d", "10.244.2.5")
    far.serve(8080)
    other = RunningProxy(second, api, tmp_path, iptables)
    other.start()
    api.put(node("n2", "192.0.2.12", "10.244.2.0/24"))
    api.put(service("web", CLUSTER_IP, 80, type="NodePort", node_port=30080))
    api.put(slice_of("web", ["10.244.1.5", "10.244.2.5"], 8080))
    await proxy.in_force(api.revision)
    await other.in_force(api.revision)

    assert await answered(cluster.client, "10.244.2.5") == "d 10.244.1.7", "pod to pod, with the pod's own address"
    assert names(await far.ask(CLUSTER_IP, 80, 40)).keys() == {"a", "d"}
    assert names(await cluster.outsider.ask("192.0.2.12", 30080, 30)).keys() == {"a", "d"}

    # The node moves to another address, and then goes.
    api.put(node("n2", "192.0.2.13", "10.244.2.0/24"))
    await eventually(lambda: "10.244.2.0/24 via 192.0.2.13" in cluster.node.run("ip route"))
    api.remove(node("n2", "", ""))
    await eventually(lambda: "10.244.2.0/24" not in cluster.node.run("ip route"))

    async def counts_none() -> bool:
        return (await proxy.rules()).routes == 0

    # The route goes before the count of routes is told.
    await eventually(counts_none)
    await other.close()


async def answered(host: Host, address: str) -> str:
    answers = await host.ask(address, 8080)
    return answers[0][0]
