"""The cluster mends itself, and requests to a Service do not notice."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.world import STORE, World, processes_of_pod
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.root, pytest.mark.e2e]

TRAFFIC = Path(__file__).with_name("traffic.py")


@contextmanager
def requests(cluster: World) -> Iterator[dict[str, Any]]:
    """A loop of requests to the Service from node n1 while the block runs; the counts are in what is yielded."""
    result: dict[str, Any] = {}
    child = cluster.start_inside(cluster.lab.nodes[0], sys.executable, str(TRAFFIC), cluster.service_url(), "0.005")
    assert child.stdout is not None
    assert child.stdout.readline() == "started\n"
    try:
        yield result
    finally:
        out, err = child.communicate("stop\n", timeout=30)
        assert child.returncode == 0, err
        result.update(json.loads(out))


def test_a_deleted_pod_is_replaced(cluster: World) -> None:
    doomed = cluster.pods()[0]["metadata"]["name"]
    cluster.steer("delete", "pod", doomed)
    names = eventually_sync(lambda: (pods := cluster.pods()) and len(pods) == 3 and pods, 30)
    assert doomed not in [pod["metadata"]["name"] for pod in names]


def test_a_container_whose_process_is_killed_runs_again(cluster: World) -> None:
    pod = cluster.pods()[0]
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    [process] = processes_of_pod(uid)
    os.kill(process, signal.SIGKILL)

    def restarted() -> bool:
        status = cluster.json("pod", name)["status"]["containerStatuses"][0]
        return status["restartCount"] == 1 and "running" in status["state"] and status["ready"]

    eventually_sync(restarted, 30)
    last = cluster.json("pod", name)["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert last["exitCode"] == 137
    [again] = processes_of_pod(uid)
    assert again != process


def test_scale_up_and_down(cluster: World) -> None:
    cluster.steer("scale", "deploy/web", "--replicas", "5")
    eventually_sync(lambda: len(cluster.pods()) == 5, 30)
    slices = cluster.items("endpointslices", "-l", "kubernetes.io/service-name=web")
    assert sum(len(one.get("endpoints", [])) for one in slices) == 5
    cluster.steer("scale", "deployment", "web", "--replicas", "2")
    eventually_sync(lambda: len(cluster.items("pods", "-l", "app=web")) == 2, 30)


@pytest.mark.parametrize(
    ("machine", "service"),
    [
        ("control", "apiserver"),
        ("control", "scheduler"),
        ("control", "controllers"),
        ("control", "store"),
        ("n2", "nodeagent"),
        ("n1", "netproxy"),
    ],
)
def test_a_killed_component_is_back_and_no_request_is_dropped(cluster: World, machine: str, service: str) -> None:
    home = next(m for m in cluster.lab.machines if m.name == machine)
    before = cluster.running_process_of(home, service)
    pods = {pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in cluster.pods()}
    with requests(cluster) as result:
        os.kill(before, signal.SIGKILL)
        eventually_sync(lambda: cluster.process_of(home, service) not in (0, before), 30)
        # It works again: something that needs it happens.
        eventually_sync(lambda: cluster.run("get", "pods").code == 0, 30)
        cluster.steer("scale", "deploy/web", "--replicas", "4")
        eventually_sync(lambda: len(cluster.pods()) == 4, 40)
    assert result["failed"] == 0, result["failures"]
    assert result["sent"] > 20
    after = {pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in cluster.pods()}
    assert {uid: after.get(uid) for uid in pods} == pods, "pods were restarted or replaced"


def test_an_acknowledged_write_survives_the_death_of_the_store(cluster: World) -> None:
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: kept\ndata:\n  round: '{}'\n"
    for attempt in range(3):
        cluster.steer("apply", "-f", "-", stdin=manifest.format(attempt))
        store = cluster.running_process_of(cluster.lab.control, "store")
        os.kill(store, signal.SIGKILL)
        eventually_sync(lambda old=store: cluster.process_of(cluster.lab.control, "store") not in (0, old), 30)
        eventually_sync(lambda: cluster.run("get", "configmap", "kept").code == 0, 30)
        assert cluster.json("configmap", "kept")["data"] == {"round": str(attempt)}
    cluster.steer("delete", "configmap", "kept")


def test_services_stop_gracefully_when_asked(cluster: World) -> None:
    machine = cluster.lab.control
    # A real etcd ends by the signal that it was sent, and not with status 0.
    ours = ("scheduler", "controllers", "apiserver", *(["store"] if STORE == "steersman" else []))
    for service in ours:
        process = cluster.running_process_of(machine, service)
        os.kill(process, signal.SIGTERM)
        eventually_sync(lambda s=service, p=process: cluster.process_of(machine, s) not in (0, p), 30)
        log = (machine.home / "supervisor.conf").parent / "logs" / "supervisord.log"
        assert f"exited: {service} (exit status 0" in log.read_text()
    eventually_sync(lambda: cluster.run("get", "pods").code == 0, 30)
