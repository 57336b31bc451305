"""`steer timeline`: what happened, in order, and who did it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from steersman import kinds
from steersman.cli import chronicle
from steersman.client import Api
from steersman.manifests import codec

from tests.apiserver.objects import config_map, pod
from tests.sdk.cli.conftest import Cluster


def made(kind: str, **data: Any) -> Any:
    return codec.decode(kinds.by_name(kind).message, data)


def at(second: int) -> str:
    return f"2026-05-01T12:00:{second:02}Z"


def told(entries: list[chronicle.Entry]) -> list[str]:
    return [f"{entry.when:%S} {entry.who or '-'}: {entry.what}" for entry in entries]


def test_what_is_different() -> None:
    before = {
        "metadata": {"resourceVersion": "1", "labels": {"a": "1"}},
        "spec": {"replicas": 2, "containers": [{"name": "a", "image": "x"}, {"name": "b"}], "list": [1]},
        "status": {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "t"}]},
    }
    after = {
        "metadata": {"resourceVersion": "2", "labels": {"a": "1", "b": "2"}},
        "spec": {"replicas": 3, "containers": [{"name": "a", "image": "y"}], "list": [1, 2]},
        "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Good", "message": "all is well"}]},
    }
    assert chronicle.differences(before, after) == [
        "metadata.labels.b = 2",
        "spec.replicas 2 → 3",
        "spec.containers[a].image x → y",
        "spec.containers[b] {name: b} → nothing",
        "spec.list [1] → [1, 2]",
        "status.conditions: Ready is True (Good: all is well)",
    ]
    assert chronicle.differences(after, after) == []


def test_the_versions_of_a_pod() -> None:
    base: dict[str, Any] = {"metadata": {"name": "p", "creationTimestamp": at(1)}, "spec": {}, "status": {}}
    bound = {**base, "spec": {"nodeName": "n1"}}
    running = {
        **bound,
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "c", "ready": True, "state": {"running": {"startedAt": at(5)}}}],
        },
    }
    crashed = {
        **bound,
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {
                    "name": "c",
                    "ready": False,
                    "restartCount": 1,
                    "state": {"terminated": {"exitCode": 3, "reason": "Error", "finishedAt": at(9)}},
                }
            ],
        },
    }
    versions = [
        ("ADDED", made("pod", **base)),
        ("MODIFIED", made("pod", **bound)),
        ("MODIFIED", made("pod", **running)),
        ("MODIFIED", made("pod", **running)),
        ("MODIFIED", made("pod", **crashed)),
        ("DELETED", made("pod", **crashed)),
    ]
    assert told(chronicle.of_versions(versions)) == [
        "01 -: created",
        "01 scheduler: spec.nodeName = n1",
        "05 nodeagent on n1: status.phase = Running; container c runs; container c is ready",
        "09 nodeagent on n1: container c ended with 3 (Error); container c is not ready; "
        "container c restarted, 1 times by now",
        "09 -: gone",
    ]


def test_who_applied_is_named() -> None:
    def version(manager: str, second: int, value: str) -> Any:
        fields = [{"manager": manager, "operation": "Apply", "time": at(second)}]
        return made("cm", metadata={"name": "c", "managedFields": fields}, data={"a": value})

    versions = [("ADDED", version("steer", 1, "1")), ("MODIFIED", version("robot", 7, "2"))]
    assert told(chronicle.of_versions(versions)) == ["01 steer: created", "07 robot: data.a 1 → 2"]


def test_what_an_object_says_of_its_own_past() -> None:
    obj = made(
        "pod",
        metadata={
            "name": "p",
            "creationTimestamp": at(1),
            "deletionTimestamp": at(40),
            "deletionGracePeriodSeconds": 30,
            "managedFields": [{"manager": "steer", "operation": "Apply", "time": at(2)}],
            "ownerReferences": [{"kind": "ReplicaSet", "name": "r", "controller": True}],
        },
        status={
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(6)}],
            "containerStatuses": [
                {
                    "name": "c",
                    "state": {"running": {"startedAt": at(5)}},
                    "lastState": {"terminated": {"exitCode": 1, "startedAt": at(3), "finishedAt": at(4)}},
                }
            ],
        },
    )
    assert told(chronicle.merged(chronicle.of_object(obj))) == [
        "01 -: created for replicaset/r",
        "02 steer: applied fields",
        "03 -: container c started",
        "04 -: container c ended with 1",
        "05 -: container c started",
        "06 -: status.conditions: Ready is True",
        "10 -: deletion was asked for, with 30 s to end",
    ]


def test_events() -> None:
    def event(name: str, **data: Any) -> Any:
        return made("events", metadata={"name": name, "creationTimestamp": at(1)}, reason=name, message="m\nn", **data)

    events = [
        event("Again", type="Warning", count=12, firstTimestamp=at(3), lastTimestamp=at(30), source={"component": "x"}),
        event("Once", count=1, firstTimestamp=at(2), lastTimestamp=at(2), source={"component": "y", "host": "n1"}),
        event("New", eventTime=at(4)),
    ]
    entries = chronicle.merged(chronicle.of_events(events))
    assert told(entries) == [
        "02 y on n1: Once: m n",
        "03 x: Again: m n",
        "04 -: New: m n",
        "30 x: Again: m n (for the 12th time)",
    ]
    assert entries[1].sort == chronicle.WARNING


def test_each_once_and_in_order() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    one = chronicle.Entry(now, "a", "b")
    assert chronicle.merged([one, one, chronicle.Entry(now, "a", "first", order=-1)])[0].what == "first"
    assert len(chronicle.merged([one, one])) == 1


def test_the_command(cluster: Cluster, namespace: str) -> None:
    cluster.create(pod("p", namespace, node="n1"))

    async def change(api: Api) -> None:
        found = await api.pods.get("p", namespace=namespace)
        found.status.phase = "Running"
        await api.pods.update_status(found)

    cluster.do(change)
    said = cluster.steer("timeline", "pod/p", "-n", namespace).splitlines()
    assert said[0].split() == ["TIME", "(UTC)", "WHO", "WHAT"]
    assert said[1].endswith("created")
    assert said[2].endswith("nodeagent on n1   status.phase Pending → Running")
    data = cluster.json("timeline", "pod/p", "-n", namespace)
    assert [entry["sort"] for entry in data] == ["created", "changed"]


def test_an_object_that_is_gone(cluster: Cluster, namespace: str) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
    cluster.steer("apply", "-n", namespace, "-f", "-", stdin=json.dumps(manifest))
    cluster.steer("delete", "cm/c", "-n", namespace)
    said = cluster.steer("timeline", "cm/c", "-n", namespace).splitlines()
    assert said[1].endswith("steer   created")
    assert said[-1].endswith("gone")


def test_with_what_it_owns(cluster: Cluster, namespace: str) -> None:
    async def work(api: Api) -> None:
        owner = await api.configmaps.create(config_map("owner", namespace))
        child = pod("child", namespace)
        child.metadata.owner_references.add(
            kind="ConfigMap", name="owner", uid=owner.metadata.uid, api_version="v1", controller=True
        )
        await api.pods.create(child)

    cluster.do(work)
    said = cluster.steer("timeline", "cm/owner", "-n", namespace, "--owned")
    assert "pod/child" in said
    assert "created for configmap/owner" in said


def test_what_there_never_was(cluster: Cluster, namespace: str) -> None:
    done = cluster.run("timeline", "pod/never", "-n", namespace)
    assert done.code == 4
    assert cluster.run("timeline", "pods").code == 2
