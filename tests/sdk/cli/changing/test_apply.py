"""`steer apply delete scale` on a real apiserver."""

from __future__ import annotations

import asyncio

import pytest
from steersman.apps.v1 import Deployment
from steersman.client import Api

from tests.apiserver.objects import config_map, deployment, pod, service
from tests.sdk.cli.changing.conftest import Steer
from tests.waiting import eventually

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {app: shop}}\ndata: {x: '%s'}\n---\n"


# --- apply ----------------------------------------------------------------------------------------------------------


async def test_what_came_of_an_apply_is_told_truthfully(api: Api, steer: Steer) -> None:
    assert await steer.ok("apply", "-f", "-", stdin=CONFIG % ("a", "1")) == "configmap/a created\n"
    assert await steer.ok("apply", "-f", "-", stdin=CONFIG % ("a", "1")) == "configmap/a unchanged\n"
    both = CONFIG % ("a", "2") + CONFIG % ("b", "1")
    assert await steer.ok("apply", "--server-side", "-f", "-", stdin=both) == (
        "configmap/a configured\nconfigmap/b created\n"
    )
    assert await steer.ok("apply", "-f", "-", "-o", "name", stdin=both) == "configmap/a\nconfigmap/b\n"
    shown = await steer.json("apply", "-f", "-", stdin=both)
    assert [each["data"] for each in shown["items"]] == [{"x": "2"}, {"x": "1"}]


async def test_dry_runs_tell_the_same_and_store_nothing(api: Api, steer: Steer) -> None:
    await steer.ok("apply", "-f", "-", stdin=CONFIG % ("a", "1"))
    manifests = CONFIG % ("a", "1") + CONFIG % ("b", "1")
    changed = CONFIG % ("a", "2")
    for how, mark in (("client", "(dry run)"), ("server", "(server dry run)")):
        flag = f"--dry-run={how}"
        assert await steer.ok("apply", "-f", "-", flag, stdin=manifests) == (
            f"configmap/a unchanged {mark}\nconfigmap/b created {mark}\n"
        )
        assert await steer.ok("apply", "-f", "-", flag, stdin=changed) == f"configmap/a configured {mark}\n"
    assert [each.metadata.name for each in await api.configmaps.list(label_selector="app=shop")] == ["a"]


async def test_what_scale_and_edit_changed_is_taken_back(api: Api, steer: Steer) -> None:
    await steer.ok("create", "deployment", "web", "--image", "a:1", "--dry-run=client", "-o", "yaml")
    manifest = await steer.ok("create", "deployment", "web", "--image", "a:1", "--dry-run=client", "-o", "yaml")
    await steer.ok("apply", "-f", "-", stdin=manifest)
    await steer.ok("scale", "deploy/web", "--replicas", "5")
    await steer.ok("label", "deploy/web", "extra=1")
    assert await steer.ok("apply", "-f", "-", stdin=manifest) == "deployment.apps/web configured\n"
    found = await api.deployments.get("web")
    assert (found.spec.replicas, found.metadata.labels["extra"]) == (1, "1")


async def test_a_conflict_is_told_and_does_not_keep_the_others(api: Api, steer: Steer) -> None:
    await steer.ok("apply", "-f", "-", "--field-manager", "robot", stdin=CONFIG % ("a", "1"))
    done = await steer("apply", "-f", "-", stdin=CONFIG % ("a", "2") + CONFIG % ("b", "1"))
    assert (done.code, done.out) == (1, "configmap/b created\n")
    assert "conflict over data.x applied by 'robot'" in done.err
    assert await steer.ok("apply", "-f", "-", "--force-conflicts", stdin=CONFIG % ("a", "2")) == (
        "configmap/a configured\n"
    )


async def test_nothing_is_applied_when_a_manifest_cannot_be_read(api: Api, steer: Steer) -> None:
    done = await steer("apply", "-f", "-", stdin=CONFIG % ("a", "1") + "kind: [")
    assert done.code == 1
    assert "standard input:" in done.err
    assert not await api.configmaps.list(label_selector="app=shop")


async def test_manifests_are_chosen_by_their_labels(api: Api, steer: Steer) -> None:
    other = (CONFIG % ("b", "1")).replace("app: shop", "app: other")
    assert await steer.ok("apply", "-f", "-", "-l", "app=shop", stdin=CONFIG % ("a", "1") + other) == (
        "configmap/a created\n"
    )


async def test_what_is_in_no_manifest_any_more_is_pruned(api: Api, steer: Steer) -> None:
    await steer.ok("apply", "-f", "-", stdin=CONFIG % ("a", "1") + CONFIG % ("b", "1") + CONFIG % ("c", "1"))
    by_hand = config_map("d")
    by_hand.metadata.labels["app"] = "shop"
    await api.configmaps.create(by_hand)
    dry = await steer.ok("apply", "-f", "-", "--prune", "-l", "app=shop", "--dry-run", stdin=CONFIG % ("a", "1"))
    assert dry == (
        "configmap/a unchanged (server dry run)\n"
        "configmap/b pruned (server dry run)\n"
        "configmap/c pruned (server dry run)\n"
    )
    kept = await steer.ok(
        "apply",
        "-f",
        "-",
        "--prune",
        "-l",
        "app=shop",
        "--prune-allowlist",
        "core/v1/Secret",
        stdin=CONFIG % ("a", "1"),
    )
    assert "pruned" not in kept
    done = await steer.ok("apply", "-f", "-", "--prune", "-l", "app=shop", "--wait", stdin=CONFIG % ("a", "1"))
    assert done == "configmap/a unchanged\nconfigmap/b pruned\nconfigmap/c pruned\n"
    assert [each.metadata.name for each in await api.configmaps.list(label_selector="app=shop")] == ["a", "d"]


async def test_nothing_is_pruned_when_something_failed(api: Api, steer: Steer) -> None:
    await steer.ok("apply", "-f", "-", stdin=CONFIG % ("a", "1") + CONFIG % ("b", "1"))
    done = await steer("apply", "-f", "-", "--prune", "-l", "app=shop", stdin=CONFIG % ("a_", "1"))
    assert done.code == 1
    assert "nothing is pruned" in done.err
    assert len(await api.configmaps.list(label_selector="app=shop")) == 2
    for words in (["--prune"], ["--prune", "--all", "-l", "a=b"], ["--prune-allowlist", "core/v1/Pod"]):
        assert (await steer("apply", "-f", "-", *words, stdin=CONFIG % ("a", "1"))).code == 2


# --- delete ---------------------------------------------------------------------------------------------------------


async def test_objects_are_deleted_by_name_selector_and_manifest(api: Api, steer: Steer) -> None:
    for name in "abcdef":
        made = config_map(name)
        made.metadata.labels["half"] = "first" if name in "ab" else "second"
        await api.configmaps.create(made)
    assert await steer.ok("delete", "cm", "-l", "half=first", "--dry-run") == (
        "configmap/a deleted (server dry run)\nconfigmap/b deleted (server dry run)\n"
    )
    assert await steer.ok("delete", "cm", "-l", "half=first") == "configmap/a deleted\nconfigmap/b deleted\n"
    assert await steer.ok("delete", "cm/c", "-o", "name") == "configmap/c\n"
    assert await steer.ok("delete", "cm", "--field-selector", "metadata.name=d") == "configmap/d deleted\n"
    manifests = CONFIG % ("e", "") + CONFIG % ("f", "")
    assert await steer.ok("delete", "-f", "-", stdin=manifests) == "configmap/f deleted\nconfigmap/e deleted\n"
    again = await steer("delete", "-f", "-", stdin=manifests)
    assert (again.code, again.err.count("\n")) == (4, 2)
    assert await steer.ok("delete", "-f", "-", "--ignore-not-found", stdin=manifests) == ""
    assert (await steer("delete", "cm", "-l", "half=first")).code == 0


async def test_all_of_a_kind(api: Api, steer: Steer) -> None:
    for name in "abc":
        await api.configmaps.create(config_map(name))
    assert (await steer("delete", "cm")).code == 2
    kept = [each for each in await api.configmaps.list(namespace="default") if each.metadata.name not in "abc"]
    assert (await steer.ok("delete", "cm", "--all")).count("deleted") == 3 + len(kept)


async def test_a_pod_is_given_its_time_or_forgotten_at_once(api: Api, steer: Steer) -> None:
    for name in "abc":
        await api.pods.create(pod(name, node="n1"))
    await steer.ok("delete", "pod", "a", "--now", "--wait=false")
    assert (await api.pods.get("a")).metadata.deletion_grace_period_seconds == 1
    late = await steer("delete", "pod", "a", "--timeout", "200ms")
    assert (late.code, "not gone within 0.2 s: pod/a" in late.err) == (1, True)
    done = await steer("delete", "pod", "a", "b", "--force")
    assert (done.code, "may go on running" in done.err) == (0, True)
    assert [each.metadata.name for each in await api.pods.list()] == ["c"]
    waiting = asyncio.create_task(steer("delete", "pod", "c"))

    async def stops() -> bool:
        return (await api.pods.get("c")).metadata.HasField("deletion_timestamp")

    await eventually(stops)
    await api.pods.delete("c", grace_period_s=0)
    assert (await waiting).code == 0


async def test_what_belongs_to_an_object_goes_or_stays(api: Api, running: Api, steer: Steer) -> None:
    await api.deployments.create(deployment("web", 1))

    async def sets() -> int:
        return len(await api.replicasets.list())

    await eventually(sets)
    await steer.ok("delete", "deploy", "web", "--cascade=orphan")
    assert await sets() == 1
    await steer.ok("delete", "rs", "--all", "--cascade", "foreground")
    assert await sets() == 0
    assert not await api.pods.list()


async def test_a_service_goes_after_what_belongs_to_it(api: Api, running: Api, steer: Steer) -> None:
    made = service("web")
    made.spec.selector["app"] = "web"
    await api.services.create(made)

    async def has_slices() -> bool:
        return bool(await api.endpointslices.list(label_selector="kubernetes.io/service-name=web"))

    await eventually(has_slices)
    done = await steer("delete", "svc", "web", "--cascade", "foreground", "--timeout", "30s")
    assert done.code == 0, done


async def test_a_person_is_asked(api: Api, steer: Steer) -> None:
    await api.configmaps.create(config_map("a"))
    no = await steer("delete", "cm", "a", "-i", stdin="n\n")
    assert (no.code, "nothing is deleted" in no.err) == (0, True)
    assert "configmap/a deleted" in (await steer("delete", "cm", "a", "-i", stdin="y\n")).out


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("delete", "delete what?"),
        ("delete cm", "delete which?"),
        ("delete cm a --all", "not both"),
        ("delete cm a --now --grace-period 3", "do not go together"),
        ("delete cm a --force --grace-period 3", "no time to stop in"),
        ("delete cm a --cascade perhaps", "perhaps"),
        ("delete cm a --timeout soon", "soon"),
        ("delete cm a --wait=perhaps", "neither true nor false"),
        ("apply", "apply what?"),
        ("apply -f x.yaml --prune", "--prune goes with"),
        ("scale deploy/web", "--replicas"),
        ("scale deploy/web --replicas many", "many"),
        ("scale --replicas 3", "scale what?"),
    ],
)
async def test_words_that_make_no_sense(steer: Steer, line: str, says: str) -> None:
    done = await steer(*line.split())
    assert done.code == 2, done
    assert says in done.err, done


# --- scale ----------------------------------------------------------------------------------------------------------


async def test_replicas_are_set(api: Api, steer: Steer) -> None:
    for name in ("web", "shop"):
        await api.deployments.create(deployment(name, 1))
    assert await steer.ok("scale", "deploy", "web", "shop", "--replicas", "3") == (
        "deployment.apps/web scaled\ndeployment.apps/shop scaled\n"
    )
    assert await steer.ok("scale", "deploy", "--all", "--replicas=0", "--dry-run") == (
        "deployment.apps/shop scaled (server dry run)\ndeployment.apps/web scaled (server dry run)\n"
    )
    assert (await steer.json("scale", "deploy/web", "--replicas", "7", "--dry-run=client"))["spec"]["replicas"] == 7
    refused = await steer("scale", "deploy/web", "--current-replicas", "2", "--replicas", "5")
    assert (refused.code, refused.err) == (
        1,
        "error: deployment.apps/web: 3 replicas are asked for, not 2\n",
    )
    await steer.ok("scale", "deploy/web", "--current-replicas", "3", "--replicas", "5")
    version = (await api.deployments.get("web")).metadata.resource_version
    await steer.ok("scale", "deploy/web", "--resource-version", version, "--replicas", "6")
    assert (await steer("scale", "deploy/web", "--resource-version", version, "--replicas", "7")).code == 1
    assert (await api.deployments.get("web")).spec.replicas == 6
    assert (await steer("scale", "deploy/nope", "deploy/web", "--replicas", "1")).code == 4
    assert (await api.deployments.get("web")).spec.replicas == 1


async def test_what_has_no_replicas(api: Api, steer: Steer) -> None:
    await api.pods.create(pod("p"))
    done = await steer("scale", "pod/p", "--replicas", "2")
    assert (done.code, done.err) == (1, "error: pods have no replicas\n")


async def test_replicas_are_waited_for(api: Api, steer: Steer) -> None:
    made: Deployment = await api.deployments.create(deployment("web", 1))
    late = await steer("scale", "deploy/web", "--replicas", "2", "--timeout", "300ms")
    assert (late.code, "0 of 2 replicas after 0.3 s" in late.err) == (1, True)
    waiting = asyncio.create_task(steer.ok("scale", "deploy/web", "--replicas", "3", "--timeout", "30s"))

    async def scaled() -> bool:
        return (await api.deployments.get("web")).spec.replicas == 3

    await eventually(scaled)
    made = await api.deployments.get("web")
    made.status.replicas, made.status.observed_generation = 3, made.metadata.generation
    await api.deployments.update_status(made)
    assert "scaled" in await waiting
