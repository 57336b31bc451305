"""`steer tree`: what belongs together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from steersman.apps.v1 import Deployment, ReplicaSet
from steersman.cli import family
from steersman.client import Api
from steersman.core.v1 import Pod, Service

from tests.apiserver.objects import deployment, pod, service
from tests.sdk.cli.conftest import Cluster


def owned(obj: Any, owner: Any, kind: str) -> Any:
    obj.metadata.owner_references.add(
        kind=kind, name=owner.metadata.name, uid=owner.metadata.uid, controller=True, api_version="apps/v1"
    )
    return obj


def with_uid(obj: Any) -> Any:
    obj.metadata.uid = f"uid of {type(obj).__name__} {obj.metadata.name}"
    return obj


def shop() -> tuple[Deployment, list[ReplicaSet], list[Pod], Service]:
    web = with_uid(deployment("web", replicas=2))
    web.status.ready_replicas = 1
    sets = []
    for revision in (1, 2):
        one = ReplicaSet()
        one.metadata.name = f"web-{revision}"
        with_uid(one)
        one.metadata.annotations["deployment.kubernetes.io/revision"] = str(revision)
        sets.append(owned(one, web, "Deployment"))
    pods = [owned(with_uid(pod(f"web-2-{n}", app="web")), sets[1], "ReplicaSet") for n in ("a", "b")]
    pods[0].status.phase = "Running"
    pods[0].status.conditions.add(type="Ready", status="True")
    pods[0].status.container_statuses.add(name="c", ready=True)
    pods[1].status.container_statuses.add(name="c").state.waiting.reason = "CrashLoopBackOff"
    front = with_uid(service("web"))
    front.spec.selector["app"] = "web"
    return web, sets, pods, front


def lines(branch: family.Branch) -> list[str]:
    return [f"{name}: {health.text}" for name, health, _ in family.rows(branch, datetime.now(UTC))]


def test_what_an_object_owns() -> None:
    web, sets, pods, front = shop()
    assert lines(family.tree(web, [front, *pods, *sets, web])) == [
        "Deployment/web: 1/2 ready",
        "├─ReplicaSet/web-2: 0/0 ready",
        "│ ├─Pod/web-2-a: Running, 1/1 ready",
        "│ └─Pod/web-2-b: CrashLoopBackOff, 0/1 ready",
        "└─ReplicaSet/web-1: 0/0 ready",
    ]


def test_what_a_service_selects() -> None:
    _, _, pods, front = shop()
    assert lines(family.tree(front, pods))[1:] == [
        "├─Pod/web-2-a (selected): Running, 1/1 ready",
        "└─Pod/web-2-b (selected): CrashLoopBackOff, 0/1 ready",
    ]


def test_what_owns_an_object() -> None:
    web, sets, pods, _ = shop()
    by_uid = {each.metadata.uid: each for each in (web, *sets, *pods)}
    assert [each.metadata.name for each in family.owners_of(pods[0], by_uid)] == ["web", "web-2"]
    # Two that own each other are no trouble.
    owned(web, pods[0], "Pod")
    assert len(family.owners_of(pods[0], by_uid)) == 2
    assert len(lines(family.tree(web, by_uid.values()))) == 5


def test_health() -> None:
    web, _, pods, _ = shop()
    assert family.health_of(pods[0]).level == family.GOOD
    assert family.health_of(pods[1]).level == family.BAD
    new = pod("new")
    new.status.phase = "Pending"
    assert family.health_of(new).level == family.PROGRESSING
    assert family.health_of(web).level == family.PROGRESSING
    web.status.ready_replicas = 2
    assert family.health_of(web).level == family.GOOD
    web.metadata.generation = 5
    assert family.health_of(web).level == family.PROGRESSING
    web.status.conditions.add(type="Progressing", status="False", reason="ProgressDeadlineExceeded")
    assert family.health_of(web).level == family.BAD
    web.metadata.deletion_timestamp.seconds = 1
    web.metadata.finalizers.append("x/y")
    assert family.health_of(web).text == "being deleted, held by x/y"


@pytest.fixture
def owning(cluster: Cluster, namespace: str) -> str:
    async def work(api: Api) -> None:
        web = deployment("web")
        web.metadata.namespace = namespace
        web = await api.deployments.create(web)
        await api.pods.create(owned(pod("web-0", namespace, app="web"), web, "Deployment"))

    cluster.do(work)
    return namespace


def test_the_command(cluster: Cluster, owning: str) -> None:
    said = cluster.steer("tree", "pod/web-0", "-n", owning)
    assert [line.split()[0] for line in said.splitlines()] == ["Deployment/web", "└─Pod/web-0"]
    assert cluster.steer("tree", "deploy", "web", "-n", owning, "--all").count("\n") == 2
    assert cluster.steer("tree", "pod/web-0", "-n", owning, "--down").count("\n") == 1
    assert cluster.run("tree", "pod/none", "-n", owning).code == 4
    assert cluster.run("tree", "pods", "-n", owning).code == 2


def test_what_may_not_be_seen_is_said(cluster: Cluster, owning: str) -> None:
    from steersman.rbac.v1 import Role, RoleBinding

    role, binding = Role(), RoleBinding()
    role.metadata.name = binding.metadata.name = "reader"
    role.metadata.namespace = binding.metadata.namespace = owning
    role.rules.add(verbs=["get", "list"], api_groups=[""], resources=["pods"])
    binding.role_ref.api_group, binding.role_ref.kind = "rbac.authorization.k8s.io", "Role"
    binding.role_ref.name = "reader"
    binding.subjects.add(kind="User", name="jo", api_group="rbac.authorization.k8s.io")
    cluster.create(role, binding)
    done = cluster.run("tree", "pod/web-0", "-n", owning, "--as", "jo")
    assert done.out.startswith("Pod/web-0 ")
    assert "could not look at deployments: you may not list them" in done.err
    assert "could not look at some of its owners" in done.err
