"""When the rest of the world is away, late or half-done."""

from __future__ import annotations

import asyncio
import json
import random
from base64 import b64encode

import pytest
from steersman.core.v1 import Node

from lab import images
from tests.nodeagent.cluster import Cluster, condition
from tests.nodeagent.machine import Machine
from tests.nodeagent.registry import registry
from tests.nodeagent.test_real_pods import WEB

pytestmark = pytest.mark.root


def sleeper(name: str, image: str = images.BUSYBOX, more: str = "") -> str:
    return (
        f"{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{terminationGracePeriodSeconds: 1, {more}"
        f' containers: [{{name: main, image: "{image}", command: [sleep, "1000"]}}]}}}}'
    )


async def test_containers_are_restarted_while_the_apiserver_is_away(cluster: Cluster) -> None:
    await cluster.apply(WEB)
    pod = await cluster.ready("web")
    first = pod.status.container_statuses[0].container_id
    await cluster.api.go_away()
    worker = cluster.agent.pods.worker(pod.metadata.uid)
    await asyncio.to_thread(
        cluster.machine.ctr, "tasks", "kill", "--signal", "SIGKILL", first.removeprefix("containerd://")
    )
    await cluster.until(lambda: len(worker.runtime.alive) == 1 and worker.runtime.alive[0].attempt == 1)
    cluster.api.come_back()

    async def told() -> bool:
        status = await cluster.status_of("web")
        return status.restart_count == 1 and status.ready

    await cluster.until(told)


async def test_a_deletion_while_the_apiserver_is_away_is_carried_out_when_it_is_back(cluster: Cluster) -> None:
    await cluster.apply(sleeper("left"))
    await cluster.ready("left")
    await cluster.api.go_away()
    cluster.api.pods.objects.clear()
    assert len(cluster.containers()) == 2
    cluster.api.come_back()
    await cluster.until(lambda: cluster.containers() == [])


async def test_leftovers_of_a_pod_that_nobody_knows_are_taken_away(cluster: Cluster) -> None:
    folders = cluster.agent.folders
    (folders.pod("lost") / "volumes").mkdir(parents=True)
    folders.logs("default", "web", "lost").mkdir(parents=True)
    await cluster.until(lambda: not folders.pod("lost").exists())
    assert not folders.logs("default", "web", "lost").exists()


async def test_a_node_without_a_network_says_so_and_its_pods_wait(inside: Machine) -> None:
    cluster = Cluster(inside)
    (inside.base / "cni" / "10-steersman.conflist").unlink(missing_ok=True)

    async def unready() -> bool:
        node = await cluster.api.nodes.get("n1")
        return any(
            (each.type, each.status) == ("Ready", "False") and "no pod CIDR" in each.message
            for each in node.status.conditions
        )

    cluster.start_without_waiting()
    try:
        await cluster.until(cluster.agent.node.registered.is_set)
        await cluster.until(unready)
        await cluster.apply(sleeper("waits"))
        await cluster.apply(sleeper("host", more="hostNetwork: true,"))
        await cluster.until(lambda: cluster.events("NetworkNotReady"))
        await cluster.ready("host")
        assert (await cluster.status_of("waits")).state.waiting.reason == "ContainerCreating"
        await cluster.assign_network()
        await cluster.ready("waits")
        node = await cluster.api.nodes.get("n1")
        assert any((each.type, each.status) == ("Ready", "True") for each in node.status.conditions)
    finally:
        await cluster.close()


async def test_pods_get_addresses_of_the_new_network_when_it_changes(cluster: Cluster) -> None:
    await cluster.stop()
    node = await cluster.api.nodes.get("n1")
    node.spec.pod_cidr = "10.244.9.0/24"
    node.spec.pod_cidrs[:] = ["10.244.9.0/24"]
    await cluster.api.nodes.update(node)
    await cluster.apply(sleeper("new"))
    cluster.start_without_waiting()
    try:
        pod = await cluster.ready("new")
        assert pod.status.pod_ip.startswith("10.244.9.")
    finally:
        await cluster.api.pods.delete("new", grace_period_s=1)
        await cluster.gone("new")
        cluster.machine.run("ip", "link", "delete", "steer0")


async def test_an_answer_that_comes_after_later_news_is_not_taken_for_the_truth(inside: Machine) -> None:
    cluster = Cluster(inside)
    nodes = cluster.api.nodes
    write = nodes.update_status
    assigned = asyncio.Event()

    async def late(node: Node) -> Node:
        answer = await write(node)
        if not assigned.is_set():
            assigned.set()
            await cluster.assign_network()
            # The agent hears of the network before it gets this answer, which does not know of it.
            await cluster.until(lambda: cluster.agent.node.pod_cidrs())
        return answer

    nodes.update_status = late
    node = Node()
    node.metadata.name = "n1"
    await nodes.create(node)
    cluster.start_without_waiting()
    try:
        await cluster.until(assigned.is_set)
        await cluster.until(cluster.agent.node.network_ready.is_set)
    finally:
        await cluster.close()


async def test_a_node_object_that_is_deleted_comes_back_and_the_lease_is_renewed(cluster: Cluster) -> None:
    await cluster.stop()
    cluster.configure(lease_renew_s=0.05, status_update_s=0.2)
    await cluster.start()
    lease = await cluster.api.leases.get("n1", namespace="kube-node-lease")

    async def renewed() -> bool:
        now = await cluster.api.leases.get("n1", namespace="kube-node-lease")
        return now.spec.renew_time.ToNanoseconds() > lease.spec.renew_time.ToNanoseconds()

    await cluster.until(renewed)
    assert lease.spec.holder_identity == "n1"
    assert lease.metadata.owner_references[0].kind == "Node"
    await cluster.api.nodes.delete("n1")

    async def back() -> bool:
        return bool(await cluster.api.nodes.list())

    await cluster.until(back)
    await cluster.assign_network()


async def test_an_agent_that_is_stopped_finishes_the_starts_that_are_under_way(cluster: Cluster) -> None:
    names = [f"p{number}" for number in range(4)]
    for name in names:
        await cluster.apply(sleeper(name))
    worker = await cluster.until(lambda: cluster.agent.pods.find("default", "p0"))
    await cluster.until(lambda: worker.runtime.sandboxes)
    await cluster.stop()
    await cluster.start()
    for name in names:
        pod = await cluster.ready(name)
        assert pod.status.container_statuses[0].restart_count == 0


async def test_an_agent_that_is_killed_again_and_again_gets_everything_right_in_the_end(cluster: Cluster) -> None:
    chance = random.Random(7)
    names = [f"p{number}" for number in range(6)]
    for name in names:
        await cluster.apply(sleeper(name, more="initContainers: [{name: i, image: 'steersman.local/busybox:1'}],"))
    for _ in range(6):
        # No condition is waited for here: any moment is a good one to die.
        await asyncio.sleep(chance.uniform(0.01, 0.4))
        await cluster.kill()
        await cluster.start()
    for name in names:
        await cluster.ready(name, 40)
    running = [line for line in cluster.machine.ctr("tasks", "ls").splitlines() if "RUNNING" in line]
    assert len(running) == 2 * len(names)
    for name in names:
        pod = await cluster.pod(name)
        assert pod.status.phase == "Running"
        status = pod.status.container_statuses[0]
        # Nothing that ran was restarted; a start that the agent's death cut off is repeated.
        assert status.restart_count == 0 or status.last_state.terminated.reason == "StartError", str(status)


async def test_an_image_is_fetched_with_the_pod_s_credentials(cluster: Cluster) -> None:
    # Another name, that is: other content than the image that is there already.
    fresh = images.layout(
        "test/image:1",
        [images.layer({"bin/fresh": images.File(b"x")}), images_layer_of_busybox()],
        images.Config(),
    )
    with registry(fresh) as served:
        served.password = "s3cret"
        await cluster.apply(sleeper("pulls", served.image, "imagePullSecrets: [{name: pull}],"))

        async def backs_off() -> bool:
            status = await cluster.status_of("pulls")
            return status.state.waiting.reason in ("ErrImagePull", "ImagePullBackOff")

        await cluster.until(backs_off)
        auth = b64encode(b"puller:s3cret").decode()
        document = b64encode(json.dumps({"auths": {served.host: {"auth": auth}}}).encode()).decode()
        await cluster.apply(
            "{apiVersion: v1, kind: Secret, metadata: {name: pull}, type: kubernetes.io/dockerconfigjson,"
            f" data: {{.dockerconfigjson: {document}}}}}"
        )
        pod = await cluster.ready("pulls", 20)
        assert await cluster.events("Pulling")
        assert condition(pod, "Ready") == "True"
    cluster.machine.ctr("images", "rm", served.image)


def images_layer_of_busybox() -> bytes:
    """The file system of the busybox image."""
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(images.busybox())) as archive:
        blobs = [
            archive.extractfile(each) for each in archive if each.name.startswith("blobs/sha256/") and each.isfile()
        ]
        contents = [each.read() for each in blobs if each is not None]
    return max(contents, key=len)
