"""`steer` against a running cluster."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request

import pytest

from tests.e2e.world import EXAMPLE, STEER, World
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.root, pytest.mark.e2e]


def test_get_in_all_forms(cluster: World) -> None:
    table = cluster.steer("get", "pods")
    assert re.match(r"NAME +READY +STATUS +RESTARTS +AGE\n", table)
    assert len(table.splitlines()) == 4
    assert "NODE" in cluster.steer("get", "po", "-o", "wide")
    assert "default" in cluster.steer("get", "pods", "-A")
    names = cluster.steer("get", "pods", "-l", "app=web", "-o", "name").split()
    assert len(names) == 3
    assert all(name.startswith("pod/web-") for name in names)
    assert cluster.json("deploy/web")["kind"] == "Deployment"
    assert "kind: Service" in cluster.steer("get", "service", "web", "-o", "yaml")
    assert cluster.steer("get", "deploy/web", "service/web").count("web") >= 2
    assert len(cluster.items("pods", "--field-selector", "spec.nodeName=n1")) == 1
    done = cluster.run("get", "pods", "-l", "app=nothing")
    assert (done.code, done.out) == (0, "")
    assert "nothing found" in done.err


def test_get_watch_shows_changes_as_they_happen(cluster: World) -> None:
    watching = subprocess.Popen(
        [STEER, "get", "configmaps", "-w", "-o", "name"], env=cluster.environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert watching.stdout is not None
        # The example's, and the authority that is published to every namespace.
        present = {watching.stdout.readline(), watching.stdout.readline()}
        assert present == {"configmap/web\n", "configmap/kube-root-ca.crt\n"}
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seen"}, "data": {"a": "1"}}
        cluster.steer("apply", "-f", "-", stdin=json.dumps(manifest))
        assert watching.stdout.readline() == "configmap/seen\n"
    finally:
        watching.kill()
        watching.communicate()
    cluster.steer("delete", "cm", "seen")


def test_describe_shows_the_object_and_its_events(cluster: World) -> None:
    name = cluster.pods()[0]["metadata"]["name"]
    text = cluster.steer("describe", "pod", name)
    assert re.search(rf"^Name: +{name}$", text, re.M)
    assert "Conditions:" in text
    assert re.search(r"Normal +Scheduled", text)
    assert re.search(r"Normal +Started", text)
    assert "ScalingReplicaSet" in cluster.steer("describe", "deploy/web")


def test_logs_and_exec(cluster: World) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "talker"},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "talker",
                    "image": "steersman.local/busybox:1",
                    "command": ["sh", "-c", "for i in 1 2 3; do echo line $i; done; exec sleep 1000"],
                }
            ],
        },
    }
    cluster.steer("apply", "-f", "-", stdin=json.dumps(manifest))
    eventually_sync(lambda: cluster.json("pod", "talker").get("status", {}).get("phase") == "Running", 30)
    eventually_sync(lambda: cluster.steer("logs", "talker") == "line 1\nline 2\nline 3\n", 10)
    assert cluster.steer("logs", "talker", "--tail", "1") == "line 3\n"
    assert cluster.steer("exec", "talker", "--", "echo", "hello") == "hello\n"
    assert cluster.run("exec", "talker", "--", "sh", "-c", "exit 7").code == 7
    assert cluster.steer("exec", "-i", "talker", "--", "cat", stdin="through\n") == "through\n"
    failed = cluster.run("exec", "talker", "--", "sh", "-c", "echo bad >&2; exit 1")
    assert (failed.code, failed.err) == (1, "bad\n")
    cluster.steer("delete", "pod", "talker")
    assert cluster.run("get", "pod", "talker").code == 4


def test_attach(cluster: World) -> None:
    # The program answers a moment later: until then the runtime has surely connected its output.
    # And it ends a moment after its last words: whoever is attached is cut off with the program's end.
    asks = 'read name; sleep 1; echo "hello $name"; read more; sleep 1; echo "bye" >&2; sleep 1'
    container = {
        "name": "main",
        "image": "steersman.local/busybox:1",
        "stdin": True,
        "stdinOnce": True,
        "command": ["sh", "-c", asks],
    }
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "greeter"}, "spec": spec}
    cluster.steer("apply", "-f", "-", stdin=json.dumps(manifest))
    eventually_sync(lambda: cluster.json("pod", "greeter").get("status", {}).get("phase") == "Running", 30)
    assert cluster.run("attach", "-i", "greeter", "-c", "nobody", stdin="").code != 0
    attached = cluster.run("attach", "-i", "greeter", stdin="you\nmore\n")
    assert (attached.code, attached.out, attached.err) == (0, "hello you\n", "bye\n")
    cluster.steer("delete", "pod", "greeter")


def test_port_forward(cluster: World) -> None:
    forwarding = subprocess.Popen(
        [STEER, "port-forward", "deploy/web", ":8080"], env=cluster.environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert forwarding.stdout is not None
        line = forwarding.stdout.readline()
        port = re.search(r"127\.0\.0\.1:(\d+) -> 8080", line)
        assert port, line
        for _ in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/", timeout=10) as answer:
                assert answer.read().decode().startswith("Hello from web-")
    finally:
        forwarding.kill()
        forwarding.communicate()


def test_apply_changes_and_takes_out_what_a_manifest_no_longer_says(cluster: World) -> None:
    def config(data: dict[str, str], labels: dict[str, str]) -> str:
        metadata = {"name": "changing", "labels": labels}
        return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})

    cluster.steer("apply", "-f", "-", stdin=config({"a": "1", "b": "2"}, {"x": "y"}))
    cluster.steer("apply", "-f", "-", stdin=config({"b": "3"}, {}))
    found = cluster.json("cm", "changing")
    assert found["data"] == {"b": "3"}
    assert "labels" not in found["metadata"]
    done = cluster.run("apply", "-f", "-", "--field-manager", "other", stdin=config({"b": "4"}, {}))
    assert done.code == 1
    assert "conflict over data.b applied by 'steer'" in done.err
    cluster.steer("apply", "-f", "-", "--field-manager", "other", "--force-conflicts", stdin=config({"b": "4"}, {}))
    assert cluster.json("cm", "changing")["data"] == {"b": "4"}
    cluster.steer("delete", "cm", "changing")


def test_dry_run_stores_nothing(cluster: World) -> None:
    manifest = EXAMPLE.read_text().replace("replicas: 3", "replicas: 9")
    assert "(server dry run)" in cluster.steer("apply", "-f", "-", "--dry-run", stdin=manifest)
    assert cluster.json("deploy/web")["spec"]["replicas"] == 3


def test_deleting_a_deployment_takes_its_pods_along_and_orphan_leaves_them(cluster: World) -> None:
    manifest = EXAMPLE.read_text().replace("name: web", "name: other").replace("app: web", "app: other")
    cluster.steer("apply", "-f", "-", stdin=manifest)
    eventually_sync(lambda: len(cluster.pods("app=other")) == 3, 30)
    cluster.steer("delete", "deploy/other", "--cascade", "orphan")
    assert len(cluster.items("replicasets", "-l", "app=other")) == 1
    assert len(cluster.pods("app=other")) == 3
    cluster.steer("delete", "rs", "-l", "app=other")
    eventually_sync(lambda: not cluster.items("pods", "-l", "app=other"), 30)
    cluster.steer("delete", "service/other", "cm/other")


def test_a_rolling_update_replaces_all_pods_and_keeps_answering(cluster: World) -> None:
    before = {pod["metadata"]["uid"] for pod in cluster.pods()}
    manifest = EXAMPLE.read_text().replace("cpu: 50m", "cpu: 40m")
    cluster.steer("apply", "-f", "-", stdin=manifest)

    def replaced() -> bool:
        pods = cluster.items("pods", "-l", "app=web")
        return len(pods) == 3 and len(cluster.pods()) == 3 and before.isdisjoint(p["metadata"]["uid"] for p in pods)

    eventually_sync(replaced, 60)
    assert sorted(rs["spec"]["replicas"] for rs in cluster.items("replicasets", "-l", "app=web")) == [0, 3]
    status = cluster.json("deploy/web")["status"]
    assert status["updatedReplicas"] == status["availableReplicas"] == 3


def test_a_pod_that_fits_nowhere_says_why(cluster: World) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "huge"},
        "spec": {
            "containers": [
                {
                    "name": "huge",
                    "image": "steersman.local/busybox:1",
                    "resources": {"requests": {"cpu": "1000"}},
                }
            ]
        },
    }
    cluster.steer("apply", "-f", "-", stdin=json.dumps(manifest))

    def explained() -> str:
        conditions = cluster.json("pod", "huge").get("status", {}).get("conditions", [])
        return next((c["message"] for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False"), "")

    message = eventually_sync(explained, 20)
    assert message.startswith("0/3 nodes are available")
    assert "3 Insufficient cpu" in message
    eventually_sync(lambda: "FailedScheduling" in cluster.steer("describe", "pod", "huge"), 20)
    cluster.steer("delete", "pod", "huge")


def test_a_namespace_is_emptied_and_goes(cluster: World) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "brief"}}
    cluster.steer("apply", "-f", "-", stdin=json.dumps(namespace))
    cluster.steer("apply", "-f", "-", stdin=EXAMPLE.read_text().replace("namespace: default", "namespace: brief"))
    eventually_sync(lambda: len(cluster.items("pods", "-n", "brief")) == 3, 30)
    cluster.steer("delete", "namespace", "brief", timeout_s=60)
    assert cluster.run("get", "namespace", "brief").code == 4
    assert cluster.items("pods", "-n", "brief") == []


BROKEN = [
    ("a: [1, 2\nb: 3\n", r"bad\.yaml:2: not YAML: "),
    ("apiVersion: v1\nkind: Pot\nmetadata:\n  name: x\n", r"bad\.yaml:2: kind: unknown kind 'Pot' in v1"),
    ("apiVersion: v2\nkind: Pod\n", r"bad\.yaml:1: apiVersion: Pod is served as v1, not as v2"),
    ("kind: Pod\n", r"bad\.yaml:1: apiVersion: required"),
    (
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\nspec:\n  containers:\n  - name: a\n    imag: b\n",
        r"bad\.yaml:8: spec\.containers\[0\]\.imag: unknown field; did you mean 'image'\?",
    ),
    (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: x\nspec:\n  replicas: three\n",
        r"bad\.yaml:6: spec\.replicas: expected an integer, got the string 'three'",
    ),
    (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n  a: 1\n",
        r"bad\.yaml:6: data\.a: expected a string",
    ),
    ("metadata: {}\nmetadata: {}\n", r"bad\.yaml:2: not YAML: the key 'metadata' stands twice"),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_a_broken_manifest_names_file_line_and_reason(cluster: World, text: str, expected: str) -> None:
    (cluster.folder / "bad.yaml").write_text(text)
    try:
        done = cluster.run("apply", "-f", "bad.yaml")
    finally:
        (cluster.folder / "bad.yaml").unlink()
    assert done.code == 1
    assert re.search(expected, done.err), done.err
    assert "Traceback" not in done.err


def test_an_object_against_the_rules_names_every_field(cluster: World) -> None:
    manifest = EXAMPLE.read_text().replace(
        "name: http\n              containerPort: 8080", "name: http\n              containerPort: 80800"
    )
    done = cluster.run("apply", "-f", "-", stdin=manifest.replace("app: web\n    spec", "app: other\n    spec"))
    assert done.code == 1
    assert "spec.template.spec.containers[0].ports[0].containerPort: 80800 is not a port" in done.err
    assert "spec.template.metadata.labels: do not match spec.selector" in done.err
    assert "Traceback" not in done.err


def test_the_apiserver_being_away_is_one_clear_line(cluster: World) -> None:
    text = cluster.config.read_text().replace("apiserver.sock", "nobody.sock")
    away = cluster.folder / "away"
    away.write_text(text)
    try:
        done = cluster.run("--config", str(away), "get", "pods")
    finally:
        away.unlink()
    assert done.code == 3
    assert done.err.startswith("error: the apiserver cannot be reached")
    assert len(done.err.splitlines()) == 1


def test_wrong_words_are_explained(cluster: World) -> None:
    done = cluster.run("get", "unicorns")
    assert done.code == 2
    assert "unknown kind 'unicorns'" in done.err
    assert cluster.run("get", "pod", "nobody").code == 4
    assert cluster.run("scale", "pod/x", "--replicas", "2").code == 1
    assert cluster.run("logs").code == 2
