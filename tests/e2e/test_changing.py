"""Commands that change things and need real containers: run, cp, debug, rollout, drain."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import EXAMPLE, World
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.root, pytest.mark.e2e]
IMAGE = "steersman.local/busybox:1"


@pytest.fixture
def folder(cluster: World) -> Iterator[Path]:
    made = cluster.folder / "copied"
    (made / "site" / "deep").mkdir(parents=True)
    (made / "site" / "big").write_bytes(os.urandom(2_000_000))
    (made / "site" / "deep" / "run").write_text("#!/bin/sh\n")
    (made / "site" / "deep" / "run").chmod(0o750)
    (made / "site" / "link").symlink_to("big")
    yield made
    subprocess.run(["rm", "-rf", made], check=True)


def test_an_image_runs_as_if_it_were_here(cluster: World) -> None:
    done = cluster.run(
        "run", "once", "--image", IMAGE, "--restart=Never", "--attach", "--rm", "--", "sh", "-c", "id; exit 3"
    )
    assert (done.code, "uid=0" in done.out) == (3, True), done
    typed = cluster.run(
        "run", "-i", "--rm", "typed", "--image", IMAGE, "--restart=Never", "--", "sh", stdin="echo $((6*7)); exit 4\n"
    )
    assert (typed.code, typed.out) == (4, "42\n"), typed
    names = [pod["metadata"]["name"] for pod in cluster.items("pods", "-l", "run")]
    assert not names


def test_files_go_into_a_container_and_come_back(cluster: World, folder: Path) -> None:
    pod = cluster.pods()[0]["metadata"]["name"]
    cluster.steer("cp", str(folder / "site"), f"{pod}:/tmp/site")
    assert "750" in cluster.steer("exec", pod, "--", "stat", "-c", "%a", "/tmp/site/deep/run")
    cluster.steer("exec", pod, "--", "ln", "-s", "/etc/passwd", "/tmp/site/outside")
    done = cluster.run("cp", f"default/{pod}:/tmp/site", str(folder / "back"))
    assert (done.code, done.err.count("warning:")) == (0, 1), done
    compared = subprocess.run(["diff", "-r", "--no-dereference", folder / "site", folder / "back"], check=False)
    assert compared.returncode == 0
    assert (folder / "back" / "deep" / "run").stat().st_mode & 0o777 == 0o750
    missing = cluster.run("cp", f"{pod}:/nope", str(folder))
    assert (missing.code, missing.err.count("\n"), "nope" in missing.err) == (1, 1, True)
    cluster.steer("exec", pod, "--", "rm", "-r", "/tmp/site")


def test_an_image_without_tar_is_told_of(cluster: World, folder: Path) -> None:
    line = [
        "run",
        "bare",
        "--image",
        IMAGE,
        "--env",
        "PATH=/nowhere",
        "--command",
        "--",
        "/bin/busybox",
        "sleep",
        "600",
    ]
    cluster.steer(*line)
    try:
        eventually_sync(lambda: cluster.json("pod", "bare")["status"].get("phase") == "Running", 30)
        for words in ([str(folder / "site"), "bare:/x"], ["bare:/bin", str(folder)]):
            done = cluster.run("cp", *words)
            assert (done.code, done.err) == (
                1,
                "error: there is no tar in the container's image, and copying needs it\n",
            )
    finally:
        cluster.steer("delete", "pod", "bare", "--now")


def test_a_pod_and_a_node_are_looked_into(cluster: World) -> None:
    pod = cluster.pods()[0]["metadata"]["name"]
    seen = cluster.steer("debug", pod, "--image", IMAGE, "--target", "web", "--attach", "--", "ps")
    assert "httpd" in seen
    try:
        looked = cluster.run("debug", "-i", "node/n1", "--image", IMAGE, "--", "sh", stdin="ls /host; exit\n")
        assert (looked.code, "proc" in looked.out.split()) == (0, True), looked
        copied = cluster.steer("debug", pod, "--copy-to", "copied", "--image", IMAGE, "--attach", "--", "ps")
        assert "httpd" in copied
        assert "app" not in cluster.json("pod", "copied")["metadata"].get("labels", {})
    finally:
        cluster.steer("delete", "pod", "copied", "--now", "--ignore-not-found")
        cluster.steer("delete", "pods", "-l", "app.kubernetes.io/managed-by=steer-debug", "--now")


def test_a_restart_a_change_and_the_way_back(cluster: World) -> None:
    manifest = EXAMPLE.read_text().replace("name: web", "name: rolled").replace("app: web", "app: rolled")
    cluster.steer("apply", "-f", "-", stdin=manifest)
    try:
        cluster.steer("rollout", "status", "deploy/rolled", "--timeout", "60s")
        before = {pod["metadata"]["uid"] for pod in cluster.pods("app=rolled")}
        cluster.steer("rollout", "restart", "deploy/rolled")
        cluster.steer("rollout", "status", "deploy/rolled", "--timeout", "60s")
        eventually_sync(lambda: len(cluster.items("pods", "-l", "app=rolled")) == 3, 30)
        assert before.isdisjoint(pod["metadata"]["uid"] for pod in cluster.pods("app=rolled"))
        cluster.steer("rollout", "undo", "deploy/rolled")
        cluster.steer("rollout", "status", "deploy/rolled", "--timeout", "60s")
        history = cluster.steer("rollout", "history", "deploy/rolled").splitlines()
        assert [line.split()[0] for line in history[2:]] == ["2", "3"]
    finally:
        cluster.steer("delete", "-f", "-", "--cascade", "foreground", stdin=manifest)


def test_a_node_is_drained_and_opened_again(cluster: World) -> None:
    manifest = EXAMPLE.read_text().replace("name: web", "name: moved").replace("app: web", "app: moved")
    cluster.steer("apply", "-f", "-", stdin=manifest)
    eventually_sync(lambda: len(cluster.pods("app=moved")) == 3, 60)
    node = cluster.pods("app=moved")[0]["spec"]["nodeName"]
    try:
        would = cluster.run("drain", node, "--pod-selector", "app=moved", "--timeout", "30s", "--dry-run")
        assert "evicted (server dry run)" in would.out
        out = cluster.steer("drain", node, "--pod-selector", "app=moved", "--timeout", "60s")
        assert out.endswith(f"node/{node} drained\n")
        eventually_sync(lambda: len(cluster.pods("app=moved")) == 3, 60)
        assert node not in {pod["spec"]["nodeName"] for pod in cluster.pods("app=moved")}
    finally:
        cluster.steer("uncordon", node)
        cluster.steer("delete", "-f", "-", stdin=manifest)


def test_what_pods_and_nodes_use(cluster: World) -> None:
    pods = [line.split() for line in cluster.steer("top", "pods", "-l", "app=web", "--no-headers").splitlines()]
    assert sorted(row[0] for row in pods) == sorted(pod["metadata"]["name"] for pod in cluster.pods())
    assert all(row[1].endswith("m") and row[2].endswith("Mi") for row in pods)
    nodes = cluster.steer("top", "nodes")
    assert nodes.count("%") == 2 + 2 * 3
    assert "<unknown>" not in nodes
