"""`steer rollout` with the controllers at work; a loop of the test's own makes pods ready, as nodes would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from steersman import errors, kinds
from steersman.apps.v1 import ControllerRevision, StatefulSet
from steersman.cli.commands import rollout
from steersman.cli.failures import CommandError
from steersman.cli.targets import Target
from steersman.client import DELETED, Api

from tests.apiserver.objects import deployment, pod
from tests.sdk.cli.changing.conftest import Steer
from tests.waiting import eventually


@pytest.fixture
async def nodes(running: Api) -> AsyncIterator[Api]:
    """Pods become ready as soon as they are there, unless their image is "bad"."""
    task = asyncio.create_task(_run_pods(running))
    yield running
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _run_pods(api: Api) -> None:
    async for event in api.pods.watch():
        one = event.object
        if (
            one is None
            or event.type == DELETED
            or one.status.phase == "Running"
            or one.spec.containers[0].image == "bad"
        ):
            continue
        one.status.phase = "Running"
        one.status.conditions.add(type="Ready", status="True")
        try:
            await api.pods.update_status(one)
        except errors.ApiError:
            continue


async def image_of(api: Api) -> str:
    return (await api.deployments.get("d")).spec.template.spec.containers[0].image


def image(name: str) -> str:
    return json.dumps({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": name}]}}}})


async def test_versions_come_and_go_back(nodes: Api, steer: Steer) -> None:
    await nodes.deployments.create(deployment("d", 2))
    assert (await steer.ok("rollout", "status", "deploy/d", "--timeout", "30s")).endswith(
        "deployment.apps/d successfully rolled out\n"
    )
    alone = await steer("rollout", "undo", "deploy/d")
    assert (alone.code, "no version before the present one" in alone.err) == (1, True)
    await steer.ok("annotate", "deploy/d", "kubernetes.io/change-cause=the second")
    await steer.ok("patch", "deploy/d", "-p", image("b:1"))
    await steer.ok("rollout", "status", "deploy", "d", "--timeout=30s")
    lines = [line.split(maxsplit=1) for line in (await steer.ok("rollout", "history", "deploy/d")).splitlines()]
    assert lines[0] == ["deployment.apps/d"]
    assert [line[0] for line in lines[2:]] == ["1", "2"]
    assert lines[3][1] == "the second"
    shown = await steer.ok("rollout", "history", "deploy/d", "--revision", "1")
    assert "image: a:1" in shown
    assert "pod-template-hash" not in shown
    assert "(server dry run)" in await steer.ok("rollout", "undo", "deploy/d", "--dry-run")
    assert await image_of(nodes) == "b:1"
    assert await steer.ok("rollout", "undo", "deploy/d") == "deployment.apps/d rolled back\n"
    await steer.ok("rollout", "status", "deploy/d", "--timeout=30s")
    assert await image_of(nodes) == "a:1"

    async def numbers() -> bool:
        text = await steer.ok("rollout", "history", "deploy/d")
        return [line.split()[0] for line in text.splitlines()[2:]] == ["2", "3"]

    await eventually(numbers)
    missing = await steer("rollout", "undo", "deploy/d", "--to-revision", "1")
    assert (missing.code, "no version 1; there are 2, 3" in missing.err) == (1, True)
    await steer.ok("rollout", "undo", "deploy/d", "--to-revision", "2")
    assert await image_of(nodes) == "b:1"

    async def renumbered() -> bool:
        return (await steer.ok("rollout", "history", "deploy/d")).splitlines()[-1].startswith("4 ")

    await eventually(renumbered)
    assert "not rolled back" in await steer.ok("rollout", "undo", "deploy/d", "--to-revision=4")
    assert "the second" in await steer.ok("rollout", "history", "deploy/d")


async def test_a_paused_deployment_collects_changes(nodes: Api, steer: Steer) -> None:
    await nodes.deployments.create(deployment("d", 1))
    await steer.ok("rollout", "status", "deploy/d", "--timeout=30s")
    assert await steer.ok("rollout", "pause", "deploy/d") == "deployment.apps/d paused\n"
    assert (await steer("rollout", "pause", "deploy/d")).code == 1
    assert (await steer("rollout", "restart", "deploy/d")).code == 1
    assert (await steer("rollout", "undo", "deploy/d")).code == 1
    await steer.ok("patch", "deploy/d", "-p", image("b:1"))
    await steer.ok("label", "deploy/d", "x=1")

    async def seen() -> bool:
        found = await nodes.deployments.get("d")
        return found.status.observed_generation == found.metadata.generation

    await eventually(seen)
    assert len(await nodes.replicasets.list()) == 1
    assert await steer.ok("rollout", "resume", "deploy/d") == "deployment.apps/d resumed\n"
    assert (await steer("rollout", "resume", "deploy/d")).code == 1
    await steer.ok("rollout", "status", "deploy/d", "--timeout=30s")
    assert len(await nodes.replicasets.list()) == 2


async def test_a_restart_replaces_all_pods(nodes: Api, steer: Steer) -> None:
    await nodes.deployments.create(deployment("d", 2))
    await steer.ok("rollout", "status", "deploy/d", "--timeout=30s")
    before = {each.metadata.uid for each in await nodes.pods.list()}
    assert await steer.ok("rollout", "restart", "deploy", "-l", "app=d") == ""
    assert await steer.ok("rollout", "restart", "deploy/d") == "deployment.apps/d restarted\n"
    await steer.ok("rollout", "status", "deploy/d", "--timeout=30s")

    async def replaced() -> bool:
        now = {each.metadata.uid for each in await nodes.pods.list()}
        return len(now) == 2 and now.isdisjoint(before)

    await eventually(replaced)


async def test_a_rollout_that_does_not_arrive(nodes: Api, steer: Steer) -> None:
    await nodes.deployments.create(deployment("d", 1, "bad"))
    late = await steer("rollout", "status", "deploy/d", "--timeout", "500ms")
    assert (late.code, late.err) == (1, "error: not rolled out within 0.5 s\n")
    assert "0 of 1 new replicas are available" in late.out
    look = await steer("rollout", "status", "deploy/d", "--watch=false")
    assert (look.code, look.out.count("\n")) == (0, 1)
    other = await steer("rollout", "status", "deploy/d", "--revision", "7")
    assert (other.code, "at version 1, not 7" in other.err) == (1, True)
    await nodes.deployments.patch("d", b'{"spec":{"progressDeadlineSeconds":1,"minReadySeconds":0}}')
    failed = await steer("rollout", "status", "deploy/d", "--timeout", "30s")
    assert (failed.code, "has not progressed for 1 s" in failed.err) == (1, True)


async def test_what_is_deleted_meanwhile(api: Api) -> None:
    made = await api.deployments.create(deployment("d", 1))
    await api.deployments.delete("d", grace_period_s=0)
    target = Target(kinds.by_name("deploy"), "d", "default")
    with pytest.raises(CommandError, match=r"deployment\.apps/d was deleted"):
        await rollout._next(api, target, made.metadata.resource_version)


async def test_a_stateful_set_goes_back(api: Api, steer: Steer) -> None:
    made = StatefulSet()
    made.metadata.name, made.metadata.namespace = "s", "default"
    made.spec.selector.match_labels["app"] = "s"
    made.spec.template.metadata.labels["app"] = "s"
    made.spec.template.spec.containers.add(name="c", image="b:1")
    made = await api.statefulsets.create(made)
    for number, name in ((1, "a:1"), (2, "b:1")):
        revision = ControllerRevision(revision=number)
        revision.metadata.name, revision.metadata.namespace = f"s-{number}", "default"
        revision.metadata.labels["app"] = "s"
        revision.metadata.owner_references.add(
            api_version="apps/v1", kind="StatefulSet", name="s", uid=made.metadata.uid, controller=True
        )
        template = {
            "$patch": "replace",
            "metadata": {"labels": {"app": "s"}},
            "spec": {"containers": [{"name": "c", "image": name}]},
        }
        revision.data.raw = json.dumps({"spec": {"template": template}}).encode()
        await api.controllerrevisions.create(revision)
    assert (await steer.ok("rollout", "history", "sts/s")).splitlines()[2:] == [
        "1          <none>",
        "2          <none>",
    ]
    assert await steer.ok("rollout", "undo", "sts/s") == "statefulset.apps/s rolled back\n"
    assert (await api.statefulsets.get("s")).spec.template.spec.containers[0].image == "a:1"
    assert await steer.ok("rollout", "restart", "sts/s") == "statefulset.apps/s restarted\n"


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("rollout", 2, ""),
        ("rollout fly deploy/d", 2, "fly"),
        ("rollout status", 2, "rollout status what?"),
        ("rollout status pod/p", 2, "pods cannot be followed so"),
        ("rollout pause sts/s", 2, "statefulsets cannot be paused"),
        ("rollout undo deploy", 2, "rollout undo which?"),
        ("rollout status deploy/nope", 4, "nope"),
        ("rollout undo deploy/nope --to-revision x", 2, "x"),
    ],
)
async def test_words_that_make_no_sense(api: Api, steer: Steer, line: str, code: int, says: str) -> None:
    await api.pods.create(pod("p"))
    done = await steer(*line.split())
    assert done.code == code, done
    assert says in done.err, done
