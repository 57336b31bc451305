"""`steer wait`."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import threading
from typing import Any

import pytest
from steersman.cli import awaited
from steersman.cli.failures import CommandError
from steersman.client import Api
from steersman.core.v1 import Pod

from tests.apiserver.objects import config_map, pod
from tests.sdk.cli.conftest import Cluster, Done


def running(name: str = "p", namespace: str = "default") -> Pod:
    made = pod(name, namespace)
    made.status.phase, made.status.pod_ip = "Running", "10.0.0.1"
    made.status.conditions.add(type="Ready", status="True")
    made.status.container_statuses.add(name="c", ready=True)
    return made


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("condition=Ready", True),
        ("condition=ready=true", True),
        ("condition=Ready=False", False),
        ("condition=Other", False),
        ("delete", False),
        ("create", True),
        ("jsonpath={.status.phase}=Running", True),
        ("jsonpath='{.status.phase}'=Pending", False),
        ("jsonpath=.status.podIP", True),
        ("jsonpath={.status.hostIP}", False),
        ('jsonpath={.status.conditions[?(@.type=="Ready")].status}=True', True),
        ("jsonpath={.status.containerStatuses[0].ready}=true", True),
        ("jsonpath={.status.containerStatuses[4].ready}=true", False),
    ],
)
def test_states(state: str, expected: bool) -> None:
    assert awaited.state_of(state)(running()) is expected
    assert awaited.state_of(state)(None) is (state == "delete")


def test_one_that_comes_after_it_is_not_taken_for_it() -> None:
    other = running()
    other.metadata.uid = "new"
    assert awaited.state_of("delete", "old")(other)
    assert not awaited.state_of("delete", "new")(other)


@pytest.mark.parametrize(
    "state", ["", "ready", "condition", "condition=", "jsonpath={.a[}", "jsonpath={.a}=", "delete=x"]
)
def test_states_that_make_no_sense(state: str) -> None:
    with pytest.raises(CommandError):
        awaited.state_of(state)


def test_what_is_so_already(cluster: Cluster, namespace: str) -> None:
    cluster.create(running("a", namespace), running("b", namespace))
    said = cluster.steer("wait", "pods", "--all", "-n", namespace, "--for=condition=Ready")
    assert sorted(said.splitlines()) == ["pod/a is Ready", "pod/b is Ready"]
    assert cluster.steer("wait", "pod/a", "-n", namespace, "--for=jsonpath={.status.phase}=Running", "--timeout=0")
    assert cluster.steer("wait", "pod/gone", "-n", namespace, "--for=delete") == "pod/gone is gone\n"
    assert cluster.steer("wait", "pods", "-l", "a=b", "-n", namespace, "--for=delete") == ""


def in_background(cluster: Cluster, *words: str) -> tuple[threading.Thread, list[Any]]:
    process = cluster.start_process(*words)
    done: list[Any] = []

    def read() -> None:
        out, err = process.communicate(timeout=60)
        done.append(Done(process.returncode, out, err))

    thread = threading.Thread(target=read)
    thread.start()
    return thread, done


def test_what_comes_about(cluster: Cluster, namespace: str) -> None:
    cluster.create(config_map("there", namespace))
    waits = [
        in_background(cluster, "wait", "pod/p", "-n", namespace, "--for=create", "--timeout=20s"),
        in_background(cluster, "wait", "cm/there", "-n", namespace, "--for=delete", "--timeout=20s"),
    ]
    cluster.create(running("p", namespace))
    cluster.steer("delete", "cm/there", "-n", namespace)
    for thread, _ in waits:
        thread.join(60)
    (first,), (second,) = (done for _, done in waits)
    assert (first.code, first.out, first.err) == (0, "pod/p is there\n", "")
    assert (second.code, second.out, second.err) == (0, "configmap/there is gone\n", "")


def test_what_does_not_come_about(cluster: Cluster, namespace: str) -> None:
    cluster.create(pod("p", namespace), running("q", namespace))
    done = cluster.run("wait", "pods", "p", "q", "-n", namespace, "--for=condition=Ready", "--timeout=200ms")
    assert done.code == 1
    assert done.out == "pod/q is Ready\n"
    assert done.err == "error: pod/p: it is not Ready after 0.2 s (steer why pod/p)\n"
    done = cluster.run("wait", "pod/none", "-n", namespace, "--for=condition=Ready")
    assert done.code == 4
    done = cluster.run("wait", "pod/none", "-n", namespace, "--for=create", "--timeout=100ms")
    assert (done.code, done.err) == (1, "error: pod/none: it is not there after 0.1 s\n")
    assert cluster.run("wait", "pods", "-l", "a=b", "-n", namespace, "--for=condition=Ready").code == 1


def test_words_that_make_no_sense(cluster: Cluster) -> None:
    assert cluster.run("wait", "pod/x").code == 2
    assert cluster.run("wait", "pods", "--for=delete").code == 2
    assert cluster.run("wait", "pod/x", "--for=ready").code == 2
    assert cluster.run("wait", "pod/x", "--for=delete", "--timeout=soon").code == 2


def test_conditions_of_an_older_object_do_not_count(cluster: Cluster, namespace: str) -> None:
    from tests.apiserver.objects import deployment

    made = deployment("late")
    made.metadata.namespace = namespace
    made.status.observed_generation = 1
    made.status.conditions.add(type="Available", status="True")
    cluster.create(made)
    cluster.steer("wait", "deploy/late", "-n", namespace, "--for=condition=Available", "--timeout=5s")

    async def change(api: Api) -> None:
        found = await api.deployments.get("late", namespace=namespace)
        found.spec.replicas = 7
        await api.deployments.update(found)

    cluster.do(change)
    words = ["wait", "deploy/late", "-n", namespace, "--for=condition=Available", "--timeout=100ms"]
    assert cluster.run(*words).code == 1


def test_a_person_is_told_what_is_waited_for(cluster: Cluster, namespace: str) -> None:
    master, slave = pty.openpty()
    environment = {**os.environ, "STEERCONFIG": str(cluster.config), "TERM": "xterm"}
    command = [sys.executable, "-m", "steersman.cli.main", "wait", "cm/late", "-n", namespace, "--for=create"]
    process = subprocess.Popen(command, env=environment, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""

    def until(words: bytes) -> None:
        nonlocal seen
        while words not in seen:
            assert select.select([master], [], [], 20)[0], seen
            seen += os.read(master, 1000)

    try:
        until(b"waiting for configmap/late to be there: 2 s of 30 s")
        cluster.create(config_map("late", namespace))
        until(b"\r\x1b[Kconfigmap/late is there")
    finally:
        process.kill()
        process.wait()
        os.close(master)
