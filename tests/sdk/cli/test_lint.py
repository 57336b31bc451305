"""`steer lint`: the server's rules without a server."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from steersman import kinds
from steersman.cli import offline
from steersman.manifests import codec
from steersman.validation import meta

from apiserver import strategies
from tests import manifests
from tests.sdk.cli.conftest import Cluster

EXAMPLES = manifests.FOLDER.parent.parent / "examples"
STRATEGIES = dict(strategies.discover())


def of_server(obj: Any) -> set[str]:
    """What the server's own strategy of the kind has against a new object."""
    kind = kinds.of(obj)
    strategy = STRATEGIES[kind]
    new = type(obj)()
    new.CopyFrom(obj)
    if kind.namespaced and not new.metadata.namespace:
        new.metadata.namespace = "default"
    new.metadata.uid = "uid" if kind.kind == "Job" else new.metadata.uid
    if not strategy.registers_with_status:
        strategy.prepare_create(new)
    strategy.default(new)
    if kind.kind == "Pod":
        new.spec.service_account_name = new.spec.service_account_name or "default"
    found = meta.validate(new.metadata, namespaced=kind.namespaced, name_rule=strategy.validate_name)
    return {str(each) for each in [*found, *strategy.validate(new), *strategy.validate_create(new)]}


def spoiled(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Copies of plain data in each of which one value is wrong, or one is missing."""
    if isinstance(data, dict):
        for key, value in data.items():
            if path or key not in ("apiVersion", "kind"):
                without = dict(data)
                del without[key]
                yield (*path, key, "missing"), without
                for way, each in spoiled(value, (*path, key)):
                    yield way, {**data, key: each}
    elif isinstance(data, list):
        for index, value in enumerate(data):
            for way, each in spoiled(value, (*path, index)):
                yield way, [*data[:index], each, *data[index + 1 :]]
    elif isinstance(data, str):
        yield path, "-No_Such Thing!"
    elif isinstance(data, int) and not isinstance(data, bool):
        yield path, -7


@pytest.mark.parametrize("document", manifests.documents(), ids=manifests.label)
def test_the_rules_are_those_of_the_server(document: dict[str, Any]) -> None:
    compared = 0
    for _, data in [((), document), *spoiled(document)]:
        try:
            obj = codec.decode_object(copy.deepcopy(data))
        except codec.DecodeError:
            continue
        assert {str(each) for each in offline.violations(obj)} == of_server(obj)
        compared += 1
    assert compared > 2
    assert not offline.violations(codec.decode_object(document))


BROKEN = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: -1
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: other}
    spec:
      containers:
      - name: web
        image: a
        ports:
        - name: http
          containerPort: 80800
---
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector: {app: othr}
  ports:
  - port: 80
    targetPort: http
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "web.yaml").write_text(BROKEN)
    return tmp_path


def test_file_and_line_of_everything(cluster: Cluster, folder: Path) -> None:
    done = cluster.run("lint", "-f", str(folder / "web.yaml"))
    assert done.code == 1
    lines = [line.removeprefix(f"{folder}/") for line in done.out.splitlines()]
    assert any(line.startswith("web.yaml:6: spec.replicas: -1") for line in lines)
    assert any(
        "web.yaml:10: spec.template.metadata.labels: do not match" in line
        or "web.yaml:11: spec.template.metadata.labels: do not match" in line
        for line in lines
    )
    assert any(
        line.startswith("web.yaml:18: spec.template.spec.containers[0].ports[0].containerPort") for line in lines
    )
    assert lines[-1] == (
        "web.yaml:25: warning: spec.selector: none of the pods here has the labels app=othr; did you mean app=other?"
    )


def test_what_cannot_be_read_hides_nothing_of_the_rest(cluster: Cluster, folder: Path) -> None:
    (folder / "bad.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{nam: x}]}\n")
    done = cluster.run("lint", str(folder / "bad.yaml"), str(folder / "web.yaml"))
    assert "bad.yaml:4: spec.containers[0].nam: unknown field; did you mean 'name'?" in done.out
    assert "web.yaml:6: spec.replicas" in done.out
    assert cluster.run("lint", str(folder / "none.yaml")).code == 1


def test_what_is_fine_is_said_in_one_line(cluster: Cluster) -> None:
    done = cluster.run("lint", "-f", str(EXAMPLES), "-R")
    assert (done.code, done.out) == (0, "")
    assert done.err.endswith("objects: nothing wrong\n")
    done = cluster.run("lint", str(manifests.FOLDER))
    assert (done.code, done.out.count("warning"), done.err.endswith("nothing that is refused\n")) == (0, 1, True)


def test_for_programs(cluster: Cluster, folder: Path) -> None:
    done = cluster.run("lint", "-f", str(folder), "-o", "json")
    assert done.code == 1
    found = json.loads(done.out)
    assert found[0] == {
        "level": "error",
        "file": str(folder / "web.yaml"),
        "line": 6,
        "text": found[0]["text"],
    }
    assert found[-1]["level"] == "warning"


def test_warnings(cluster: Cluster) -> None:
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    twice = yaml.safe_dump_all([one, one])
    done = cluster.run("lint", "-f", "-", stdin=twice)
    assert done.code == 0
    assert "warning: configmap 'c' stands at standard input:1 already" in done.out
    assert cluster.run("lint", "-f", "-", "--strict", stdin=twice).code == 1
    labels = {"app": "a"}
    container = {"name": "c", "image": "i", "ports": [{"name": "http", "containerPort": 80}]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "labels": labels},
        "spec": {"containers": [container]},
    }
    ports = [{"port": 80, "targetPort": "htp"}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"selector": labels, "ports": ports},
    }
    done = cluster.run("lint", "-f", "-", stdin=yaml.safe_dump_all([pod, service]))
    assert "no container of its pods names a port 'htp'; did you mean 'http'?" in done.out


def test_pod_security(cluster: Cluster) -> None:
    container = {"name": "c", "image": "i", "securityContext": {"privileged": True}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}
    text = yaml.safe_dump(pod)
    assert cluster.run("lint", "-f", "-", stdin=text).code == 0
    done = cluster.run("lint", "-f", "-", "--pod-security", "baseline", stdin=text)
    assert (done.code, "not allowed by pod security baseline" in done.out) == (1, True)


def test_names_that_are_generated(cluster: Cluster) -> None:
    made = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "sum-"}}
    made["spec"] = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}
    assert cluster.run("lint", "-f", "-", stdin=yaml.safe_dump(made)).code == 0
    assert cluster.run("lint").code == 2
