"""What `steer` tells of a running cluster: why, tree, timeline, wait, logs of several pods."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.world import STEER, World
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.root, pytest.mark.e2e]
IMAGE = "steersman.local/busybox:1"


def manifest(name: str, *, command: str = "exec sleep 1000", restart: str = "Always", **container: Any) -> str:
    """A pod, as JSON."""
    main = {"name": "main", "image": IMAGE, "command": ["sh", "-c", command], **container}
    spec = {"terminationGracePeriodSeconds": 0, "restartPolicy": restart, "containers": [main]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


@pytest.fixture
def applied(cluster: World) -> Iterator[Any]:
    """Applies pods, and takes them away in the end."""
    made: list[str] = []

    def apply(name: str, **options: Any) -> str:
        cluster.steer("apply", "-f", "-", stdin=manifest(name, **options))
        made.append(name)
        return name

    yield apply
    for name in made:
        cluster.run("delete", "pod", name, "--ignore-not-found", "--grace-period", "0")


def said(cluster: World, what: str, pattern: str, timeout_s: float = 40) -> str:
    """What `steer why` says, as soon as it matches."""

    def look() -> str:
        text = cluster.steer("why", what)
        return text if re.search(pattern, text) else ""

    text: str = eventually_sync(look, timeout_s)
    return text


def test_why_a_pod_fits_nowhere(cluster: World, applied: Any) -> None:
    applied("vast", resources={"requests": {"cpu": "1000", "memory": "1Mi"}})
    text = said(cluster, "pod/vast", "no node suits it")
    assert re.search(r"3 nodes: 3 lack cpu \(needs 1000, the largest node n\d has \d+\)", text)
    assert re.search(r"n1: [\d.m]+ cpu free of \d+", text)
    assert "What to do:\n" in text


def test_why_in_the_schedulers_own_words(cluster: World, applied: Any) -> None:
    applied("vaster", resources={"requests": {"cpu": "2000"}})
    said(cluster, "pod/vaster", "no node suits it")
    control = cluster.lab.control
    words = ["why", "pod/vaster", "--scheduler", f"{control.address}:10259"]
    done = cluster.inside(control, "env", f"STEERCONFIG={cluster.config}", str(STEER), *words)
    assert re.search(r"n1: [\d.m]+ cpu free of \d+", done.out), done


def test_why_a_program_ends_again_and_again(cluster: World, applied: Any) -> None:
    applied("crash", command="echo cannot find my settings; exit 3")
    text = said(cluster, "pod/crash", "ends again and again")
    assert "ended with 3" in text
    assert "steer logs crash --previous" in text
    assert cluster.steer("logs", "crash", "--previous") == "cannot find my settings\n"


def test_why_a_pod_is_not_ready(cluster: World, applied: Any) -> None:
    probe = {"exec": {"command": ["test", "-e", "/ready"]}, "periodSeconds": 1}
    applied("unready", readinessProbe=probe)
    text = said(cluster, "pod/unready", "its readiness probe .* fails")
    assert "test -e /ready, every 1 s" in text
    assert cluster.run("wait", "pod/unready", "--for=condition=Ready", "--timeout=1s").code == 1
    cluster.steer("exec", "unready", "--", "touch", "/ready")
    assert cluster.steer("wait", "pod/unready", "--for=condition=Ready", "--timeout=30s") == "pod/unready is Ready\n"
    assert cluster.steer("why", "pod/unready").startswith("pod/unready is Running and ready\n")


def test_why_settings_are_missing(cluster: World, applied: Any) -> None:
    applied("lacks", env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "nowhere", "key": "a"}}}])
    text = said(cluster, "pod/lacks", "it refers to what is not there")
    assert "configmap 'nowhere'" in text


def test_why_an_image_cannot_be_had(cluster: World, applied: Any) -> None:
    applied("imageless", image="registry.invalid/none:1")
    assert "its image registry.invalid/none:1 cannot be fetched" in said(cluster, "pod/imageless", "image")


def test_why_and_tree_of_what_is_well(cluster: World) -> None:
    assert cluster.steer("why", "deploy/web").startswith("deployment/web has 3 of 3 pods ready")
    assert re.match(r"service/web is answered by 3 addresses", cluster.steer("why", "svc/web"))
    assert cluster.steer("why", "node/n1").startswith("node/n1 is ready")
    lines = cluster.steer("tree", "deploy/web").splitlines()
    assert lines[0].startswith("Deployment/web ")
    assert sum(line.lstrip("│ ├└─").startswith("Pod/web-") for line in lines) == 3
    name = cluster.pods()[0]["metadata"]["name"]
    assert cluster.steer("tree", f"pod/{name}").startswith("Deployment/web ")


def test_the_timeline_of_a_pod(cluster: World, applied: Any) -> None:
    applied("short", command="true", restart="Never")
    cluster.steer("wait", "pod/short", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=40s")
    eventually_sync(lambda: "Started" in cluster.steer("events", "--for", "pod/short"), 20)
    text = cluster.steer("timeline", "pod/short")
    order = [text.index(words) for words in ("created", "spec.nodeName", "Started", "→ Succeeded")]
    assert order[0] < order[1] < order[3]
    assert re.search(r"scheduler +spec\.nodeName = n\d", text)


def test_logs_of_several_pods(cluster: World, applied: Any) -> None:
    for name in ("left", "right"):
        applied(name, command=f"echo {name} speaks; exec sleep 1000")
    cluster.steer("label", "pods", "left", "right", "side=any")
    cluster.steer("wait", "pods", "-l", "side=any", "--for=condition=Ready", "--timeout=40s")

    def both() -> bool:
        text = cluster.steer("logs", "-l", "side=any", "--prefix")
        return sorted(text.splitlines()) == ["[pod/left/main] left speaks", "[pod/right/main] right speaks"]

    eventually_sync(both, 20)


def test_versions_and_places(cluster: World) -> None:
    assert re.fullmatch(r"Client Version: (\S+)\nServer Version: \1\n", cluster.steer("version"))
    assert "3 of 3 nodes are ready" in cluster.steer("cluster-info")
    assert cluster.steer("auth", "can-i", "create", "pods") == "yes\n"
