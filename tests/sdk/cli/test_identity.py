"""Who am I, what may I do, which cluster is it: `steer auth`, `steer config`, `steer cluster-info`, `steer events`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from steersman import config
from steersman.core.v1 import Event, Node

from tests.apiserver.objects import config_map
from tests.sdk.cli.conftest import Cluster


def test_what_one_may_do(cluster: Cluster, namespace: str) -> None:
    assert cluster.steer("auth", "can-i", "create", "pods", "-n", namespace) == "yes\n"
    done = cluster.run("auth", "can-i", "delete", "deployments.apps/web", "-n", namespace, "--as", "jo")
    assert (done.code, done.out.startswith("no")) == (1, True)
    done = cluster.run("auth", "can-i", "get", "pods", "--subresource", "log", "--as", "jo", "-q")
    assert (done.code, done.out) == (1, "")
    assert cluster.steer("auth", "can-i", "*", "*", "-A") == "yes\n"
    assert cluster.steer("auth", "can-i", "get", "/healthz") == "yes\n"
    done = cluster.run("auth", "can-i", "get", "podz")
    assert (done.code, "warning: unknown kind 'podz'; did you mean 'pod" in done.err) == (0, True)
    done = cluster.run("auth", "can-i", "creat", "pods")
    assert "did you mean 'create'?" in done.err
    assert cluster.run("auth", "can-i").code == 2
    assert cluster.run("auth", "can-i", "get").code == 2


def test_all_that_one_may_do(cluster: Cluster, namespace: str) -> None:
    table = cluster.steer("auth", "can-i", "--list", "-n", namespace, "--as", "jo")
    assert table.splitlines()[0].split() == ["Resources", "Non-Resource", "URLs", "Resource", "Names", "Verbs"]
    assert "selfsubjectaccessreviews.authorization.k8s.io" in table


def test_who_one_is(cluster: Cluster) -> None:
    table = cluster.steer("auth", "whoami")
    assert "Username    admin" in table
    assert "system:masters" in table
    review = cluster.json("auth", "whoami", "--as", "jo", "--as-group", "staff", "--as-uid", "7")
    user = review["status"]["userInfo"]
    assert (user["username"], user["uid"], "staff" in user["groups"]) == ("jo", "7", True)
    assert cluster.run("auth", "whoami", "--as-group", "staff").code == 2


@pytest.fixture
def contexts(cluster: Cluster, tmp_path: Path) -> Path:
    path = tmp_path / "config"
    config.save(path, cluster.context("admin", "system:masters", name="one", namespace="shop"))
    config.save(path, config.Context("two", "localhost:1", token="secret"))
    return path


def test_contexts(cluster: Cluster, contexts: Path) -> None:
    def steer(*words: str) -> str:
        return cluster.steer("--config", str(contexts), "config", *words)

    rows = [line.split() for line in steer("get-contexts").splitlines()]
    assert rows[0] == ["CURRENT", "NAME", "SERVER", "PROOF", "NAMESPACE"]
    assert rows[1][:1] + rows[1][2:] == ["one", "certificate", "shop"]
    assert rows[2] == ["*", "two", "localhost:1", "token", "default"]
    assert steer("get-contexts", "-o", "name") == "one\ntwo\n"
    assert steer("current-context") == "two\n"
    assert steer("use-context", "one") == 'Switched to context "one".\n'
    assert steer("set-context", "--current", "--namespace", "other") == 'Context "one" modified.\n'
    assert yaml.safe_load(steer("view", "--minify"))["contexts"]["one"]["namespace"] == "other"
    assert steer("rename-context", "one", "uno") == 'Context "one" renamed to "uno".\n'
    assert steer("current-context") == "uno\n"
    assert steer("set-context", "three", "--server", "c:6443", "--token", "t") == 'Context "three" created.\n'
    assert steer("set-credentials", "three", "--token", "") == 'Context "three" modified.\n'
    assert "token" not in yaml.safe_load(contexts.read_text())["contexts"]["three"]
    assert steer("delete-context", "three") == 'Context "three" deleted.\n'
    assert contexts.stat().st_mode & 0o777 == 0o600


def test_keys_and_tokens_are_not_shown(cluster: Cluster, contexts: Path) -> None:
    shown = cluster.steer("config", "view", "--config", str(contexts))
    assert "secret" not in shown
    assert "REDACTED" in shown
    raw = json.loads(cluster.steer("config", "view", "--config", str(contexts), "--raw", "-o", "json"))
    assert raw["contexts"]["two"]["token"] == "secret"


def test_files_are_embedded(cluster: Cluster, contexts: Path, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(cluster.authority.pem())
    words = ["set-cluster", "two", "--certificate-authority", str(tmp_path / "ca.crt"), "--embed-certs"]
    cluster.steer("--config", str(contexts), "config", *words)
    assert config.load(contexts, "two").authority == cluster.authority.pem()
    done = cluster.run(
        "--config",
        str(contexts),
        "config",
        "set-cluster",
        "two",
        "--embed-certs",
        "--certificate-authority",
        "/nowhere",
    )
    assert (done.code, done.err) == (1, "error: /nowhere: No such file or directory\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["use-context", "on"], "there is no context 'on'; did you mean 'one'?"),
        (["use-context", "zzzz"], "there is no context 'zzzz' (there are: one, two)"),
        (["rename-context", "one", "two"], "there is a context 'two' already"),
        (["set-context"], "which context?"),
        (["set-context", "new"], "it needs --server"),
        (["vieww"], "no such command 'vieww'"),
    ],
)
def test_contexts_that_make_no_sense(cluster: Cluster, contexts: Path, words: list[str], expected: str) -> None:
    before = contexts.read_text()
    done = cluster.run("--config", str(contexts), "config", *words)
    assert done.code in (1, 2)
    assert expected in done.err
    assert contexts.read_text() == before


def test_a_wrong_context_behind_the_command(cluster: Cluster, contexts: Path) -> None:
    done = cluster.run("get", "pods", "--config", str(contexts), "--context", "thre")
    assert done.code == 3
    assert "has no context 'thre'" in done.err


def test_where_the_cluster_is(cluster: Cluster) -> None:
    node = Node()
    node.metadata.name = "info"
    node.status.node_info.kubelet_version = "v9"
    cluster.create(node)
    said = cluster.steer("cluster-info")
    assert said.splitlines()[0] == f"Steersman control plane is running at {cluster.server}"
    assert "nodes are ready (1 of v9)" in said
    cluster.steer("delete", "node/info")
    dump = yaml.safe_load(cluster.steer("cluster-info", "dump", "-n", "default"))
    assert "Service" in {item["kind"] for item in dump["items"]}
    assert cluster.run("cluster-info", "dumb").code == 2


def happened(namespace: str, name: str, *, type: str = "Normal", seconds: int = 0) -> Event:
    event = Event()
    event.metadata.name, event.metadata.namespace = name, namespace
    event.type, event.reason, event.message = type, name.capitalize(), f"{name} happened"
    event.involved_object.kind, event.involved_object.name = "Pod", f"pod-of-{name}"
    event.involved_object.namespace = namespace
    event.last_timestamp.FromDatetime(datetime.now(UTC) - timedelta(seconds=seconds))
    return event


def test_events(cluster: Cluster, namespace: str) -> None:
    cluster.create(
        happened(namespace, "late", seconds=1),
        happened(namespace, "early", type="Warning", seconds=100),
        config_map("c", namespace),
    )
    rows = cluster.steer("events", "-n", namespace).splitlines()
    assert rows[0].split()[:4] == ["LAST", "SEEN", "TYPE", "REASON"]
    assert [row.split()[2] for row in rows[1:]] == ["Early", "Late"]
    only = cluster.steer("events", "-n", namespace, "--types", "warning", "--no-headers")
    assert only.split()[1] == "Warning"
    assert "Late" in cluster.steer("events", "-n", namespace, "--for", "pod/pod-of-late")
    assert cluster.json("events", "-n", namespace)["items"][0]["reason"] == "Early"
    done = cluster.run("events", "-n", namespace, "--for", "pod/none")
    assert (done.code, done.out, done.err) == (0, "", f"no events in namespace {namespace}\n")
    done = cluster.run("events", "--types", "Warnin")
    assert (done.code, "did you mean 'Warning'?" in done.err) == (2, True)


def test_events_to_come(cluster: Cluster, namespace: str) -> None:
    from tests.sdk.cli.test_get import Reader

    cluster.create(happened(namespace, "first"))
    process = cluster.start_process("events", "-n", namespace, "-w")
    try:
        read = Reader(process)
        assert read.line().split()[:2] == ["LAST", "SEEN"]
        assert "First" in read.line()
        cluster.create(happened(namespace, "second"))
        assert "Second" in read.line()
    finally:
        process.kill()
        process.communicate()


def test_the_kinds_that_there_are(cluster: Cluster) -> None:
    def rows(*words: str) -> list[list[Any]]:
        return [line.split() for line in cluster.steer("api-resources", *words).splitlines()]

    assert ["pods", "po", "v1", "true", "Pod"] in rows()
    assert all(row[-2] == "false" for row in rows("--namespaced=false", "--no-headers"))
    assert ["nodes", "no", "v1", "false", "Node"] in rows("--namespaced=false")
    assert {row[0] for row in rows("--api-group", "apps", "-o", "name")} >= {"deployments.apps"}
    assert "create,delete" in cluster.steer("api-resources", "-o", "wide")
    assert [row[-1] for row in rows("--sort-by", "kind", "--no-headers")] == sorted(
        row[-1] for row in rows("--no-headers")
    )
    assert rows("--verbs", "fly", "--no-headers") in ([], [[]])
    done = cluster.run("api-resources", "--api-group", "app")
    assert (done.code, "did you mean 'apps'?" in done.err) == (2, True)
