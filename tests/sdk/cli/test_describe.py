"""`steer describe`: what the kinds are that people look at most, and every other."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from steersman import kinds
from steersman.cli import describing
from steersman.core.v1 import Event, Node, ResourceQuota
from steersman.manifests import codec

from tests import manifests
from tests.apiserver.objects import config_map, deployment, pod, service
from tests.sdk.cli.conftest import Cluster

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("document", manifests.documents(), ids=manifests.label)
def test_every_kind_is_described(document: dict[str, Any]) -> None:
    obj = codec.decode_object(document)
    text = describing.describe(obj, describing.Around(), NOW)
    assert re.search(rf"^Name: +{re.escape(document['metadata']['name'])}$", text, re.M)
    assert text.endswith("Events: <none>")


POD = """
metadata: {name: web, namespace: shop, labels: {app: web, tier: front}, annotations: {a/b: "c: d"}}
spec:
  nodeName: n1
  serviceAccountName: default
  nodeSelector: {disk: ssd}
  tolerations: [{key: gpu, operator: Exists, effect: NoSchedule, tolerationSeconds: 5}, {operator: Exists}]
  volumes: [{name: cfg, configMap: {name: settings}}, {name: tmp, emptyDir: {}}]
  containers:
  - name: main
    image: shop/web:1
    command: [serve]
    args: ["--port", "8080"]
    ports: [{containerPort: 8080}]
    env:
    - {name: PLAIN, value: x}
    - {name: KEY, valueFrom: {secretKeyRef: {name: keys, key: k}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    envFrom: [{configMapRef: {name: settings}, prefix: S_}]
    resources: {requests: {cpu: 100m}, limits: {memory: 1Gi}}
    livenessProbe: {httpGet: {path: /live, port: 8080}}
    volumeMounts: [{name: cfg, mountPath: /cfg, readOnly: true}]
status:
  phase: Running
  hostIP: 10.0.0.1
  podIP: 10.1.0.5
  qosClass: Burstable
  startTime: "2026-05-01T11:00:00Z"
  conditions: [{type: Ready, status: "False", reason: ContainersNotReady, message: "not ready: [main]"}]
  containerStatuses:
  - name: main
    restartCount: 3
    state: {waiting: {reason: CrashLoopBackOff, message: back-off}}
    lastState: {terminated: {exitCode: 1, reason: Error, finishedAt: "2026-05-01T11:59:00Z", message: boom}}
"""


def test_a_pod() -> None:
    obj = codec.decode(kinds.by_name("pod").message, yaml.safe_load(POD))
    text = describing.describe(obj, describing.Around(), NOW)
    for pattern in (
        r"^Namespace: +shop$",
        r"^Labels: +app=web\n +tier=front$",
        r"^Annotations: +a/b: c: d$",
        r"^Status: +CrashLoopBackOff$",
        r"^Node: +n1/10.0.0.1$",
        r"^IP: +10.1.0.5$",
        r"^QoS Class: +Burstable$",
        r"^Tolerations: +gpu:NoSchedule op=Exists for 5s\n +everything$",
        r"^  main:$",
        r"^    Image: +shop/web:1$",
        r"^    Command: +serve --port 8080$",
        r"^    State: +Waiting, CrashLoopBackOff: back-off$",
        r"^    Last State: +Terminated, Error, exit code 1, 2026-05-01T11:59:00Z \(60s ago\)\n +boom$",
        r"^    Restart Count: +3$",
        r"^    Liveness: +GET /live on 8080, every 10 s, 3 failures count$",
        r"^    Environment: +PLAIN: x\n +KEY: <key k of secret keys>\n +NODE: <field spec.nodeName>\n"
        r" +<all of configmap settings with prefix S_>$",
        r"^    Mounts: +/cfg from cfg \(ro\)$",
        r"^  cfg: +configMap \(name settings\)$",
        r"^  Ready +False +\? +ContainersNotReady +not ready: \[main\]$",
    ):
        assert re.search(pattern, text, re.M), f"{pattern}\n{text}"


def test_escape_sequences_are_not_obeyed() -> None:
    obj = config_map("c", "default", key="a\x1b[2Jb\nsecond")
    text = describing.describe(obj, describing.Around(), NOW)
    assert "\x1b" not in text
    assert "a\\x1b[2Jb\n" in text


def test_the_command(cluster: Cluster, namespace: str) -> None:
    event = Event()
    event.metadata.name, event.metadata.namespace = "e", namespace
    event.type, event.reason, event.message, event.count = "Warning", "Failing", "it fails", 3
    event.involved_object.kind, event.involved_object.name, event.involved_object.namespace = "Pod", "web-1", namespace
    event.first_timestamp.GetCurrentTime()
    event.last_timestamp.GetCurrentTime()
    cluster.create(pod("web-1", namespace, app="web"), pod("web-2", namespace), event)
    text = cluster.steer("describe", "pod", "web-1", "-n", namespace)
    assert re.search(r"Warning +Failing +\ds \(x3 over \ds\) +it fails", text)
    assert "Failing" not in cluster.steer("describe", "pod/web-1", "-n", namespace, "--show-events=false")
    several = cluster.steer("describe", "pods", "web", "-n", namespace)
    assert several.count("Name:  ") == 2
    assert cluster.steer("describe", "pods", "-l", "app=web", "-n", namespace).count("Name:  ") == 1
    assert cluster.run("describe", "pod", "zzz", "-n", namespace).code == 4
    done = cluster.run("describe", "cm", "-l", "a=none", "-n", namespace)
    assert (done.code, done.out, done.err) == (0, "", "nothing found\n")


def test_what_is_around(cluster: Cluster, namespace: str) -> None:
    quota = ResourceQuota()
    quota.metadata.name, quota.metadata.namespace = "q", namespace
    quota.spec.hard["pods"].value = "5"
    node = Node()
    node.metadata.name = f"node-{namespace}"
    node.status.allocatable["cpu"].value = "4"
    tenant = pod("tenant", namespace, node=node.metadata.name)
    tenant.spec.containers[0].resources.requests["cpu"].value = "1"
    web = deployment("web")
    web.metadata.namespace = namespace
    cluster.create(node, tenant, web, quota)
    text = cluster.steer("describe", "node", node.metadata.name)
    assert re.search(rf"{namespace} +tenant +1 \(25%\)", text)
    cluster.steer("delete", "node", node.metadata.name)
    text = cluster.steer("describe", "namespace", namespace)
    assert "Resource Quota q:" in text
    assert "No LimitRange resource." in text
    text = cluster.steer("describe", "deploy/web", "-n", namespace)
    assert re.search(r"^Replicas: +1 desired \| 0 updated", text, re.M)
    assert "Pod Template:" in text


def test_by_manifest(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    front = service("front")
    front.metadata.namespace = namespace
    cluster.create(front)
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(codec.encode_object(front)))
    text = cluster.steer("describe", "-f", str(tmp_path / "s.yaml"))
    assert re.search(r"^Endpoints: +<none>$", text, re.M)
    assert re.search(r"^Session Affinity: +None$", text, re.M)
