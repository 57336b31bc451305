"""`steer label annotate taint cordon uncordon drain` on a real apiserver."""

from __future__ import annotations

import asyncio

from steersman.client import Api
from steersman.core.v1 import Node, Pod
from steersman.policy.v1 import PodDisruptionBudget

from tests.apiserver.conftest import Served
from tests.apiserver.objects import config_map, pod
from tests.sdk.cli.changing.conftest import Steer, command_line
from tests.waiting import eventually


async def make_node(api: Api, name: str, **labels: str) -> None:
    made = Node()
    made.metadata.name = name
    made.metadata.labels.update(labels)
    await api.nodes.create(made)


async def make_pod(api: Api, name: str, node: str, owner: str = "", **labels: str) -> Pod:
    made = pod(name, node=node, **labels)
    if owner:
        made.metadata.owner_references.add(
            api_version="apps/v1", kind="ReplicaSet", name=owner, uid="u", controller=True
        )
    return await api.pods.create(made)


# --- label and annotate ---------------------------------------------------------------------------------------------


async def test_a_label_is_added_changed_found_and_removed(api: Api, steer: Steer) -> None:
    await api.configmaps.create(config_map("a"))
    assert await steer.ok("label", "cm", "a", "tier=front") == "configmap/a labeled\n"
    assert await steer.ok("label", "cm/a", "tier=front") == "configmap/a not labeled\n"
    assert "configmap/a" in await steer.ok("get", "cm", "-l", "tier=front", "-o", "name")
    refused = await steer("label", "cm", "a", "tier=back", "other=1")
    assert refused.code == 1
    assert refused.err == "error: configmap/a: the label 'tier' is 'front' already; --overwrite changes it\n"
    assert "other" not in (await api.configmaps.get("a")).metadata.labels
    assert await steer.ok("label", "cm", "a", "tier=back", "other=1", "--overwrite") == "configmap/a labeled\n"
    assert await steer.ok("label", "cm", "a", "--list") == "other=1\ntier=back\n"
    assert await steer.ok("label", "cm", "a", "tier-") == "configmap/a unlabeled\n"
    gone = await steer("label", "cm", "a", "tier-")
    assert (gone.code, gone.out) == (0, "configmap/a not labeled\n")
    assert "there is no label 'tier' to remove" in gone.err
    assert dict((await api.configmaps.get("a")).metadata.labels) == {"other": "1"}


async def test_many_are_labeled_by_selector_and_all_and_file(api: Api, steer: Steer) -> None:
    for name, tier in (("a", "x"), ("b", "x"), ("c", "y")):
        made = config_map(name)
        made.metadata.labels["tier"] = tier
        await api.configmaps.create(made)
    assert (await steer.ok("label", "cm", "-l", "tier=x", "n=1")).split("\n")[:2] == [
        "configmap/a labeled",
        "configmap/b labeled",
    ]
    assert await steer.ok("label", "cm", "--all", "n=2", "--overwrite", "-o", "name") == (
        "configmap/a\nconfigmap/b\nconfigmap/c\n"
    )
    path = steer.write("c.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n")
    await steer.ok("label", "-f", path, "from=file")
    assert (await api.configmaps.get("c")).metadata.labels["from"] == "file"


async def test_one_that_is_not_there_does_not_keep_the_others(api: Api, steer: Steer) -> None:
    await api.configmaps.create(config_map("b"))
    done = await steer("label", "cm", "a", "b", "x=1")
    assert (done.code, done.out) == (4, "configmap/b labeled\n")
    assert done.err.count("\n") == 1


async def test_a_label_only_at_a_version(api: Api, steer: Steer) -> None:
    made = await api.configmaps.create(config_map("a"))
    version = made.metadata.resource_version
    assert (await steer("label", "cm", "a", "x=1", "--resource-version", "1")).code == 1
    await steer.ok("label", "cm", "a", "x=1", "--resource-version", version)


async def test_a_dry_run_changes_nothing(api: Api, steer: Steer) -> None:
    await api.configmaps.create(config_map("a"))
    assert await steer.ok("label", "cm", "a", "x=1", "--dry-run=client") == "configmap/a labeled (dry run)\n"
    assert await steer.ok("label", "--dry-run", "cm", "a", "x=1") == "configmap/a labeled (server dry run)\n"
    shown = await steer.json("label", "cm", "a", "x=1", "--dry-run=client")
    assert shown["metadata"]["labels"] == {"x": "1"}
    assert not (await api.configmaps.get("a")).metadata.labels


async def test_annotations(api: Api, steer: Steer) -> None:
    await api.configmaps.create(config_map("a"))
    assert await steer.ok("annotate", "cm", "a", "owner=the shop team", "x=1") == "configmap/a annotated\n"
    assert (await steer("annotate", "cm", "a", "owner=others")).code == 1
    await steer.ok("annotate", "cm", "a", "owner=others", "x-", "--overwrite=true")
    assert dict((await api.configmaps.get("a")).metadata.annotations) == {"owner": "others"}


async def test_two_people_label_at_once(api: Api, steer: Steer) -> None:
    await api.configmaps.create(config_map("a"))
    api_writes = [
        api.configmaps.patch("a", f'{{"metadata":{{"labels":{{"l{n}":"1"}}}}}}'.encode(), namespace="default")
        for n in range(20)
    ]
    _, *_ = await asyncio.gather(steer.ok("label", "cm", "a", "mine=1"), *api_writes)
    assert len((await api.configmaps.get("a")).metadata.labels) == 21


async def test_words_that_make_no_sense(steer: Steer) -> None:
    for words, says in (
        (["label", "cm", "a"], "label with what?"),
        (["label", "cm", "a=1"], "label which?"),
        (["label", "a=1"], "label what?"),
        (["label", "cm", "a", "b=x y"], "not a label value"),
        (["label", "cm", "a", "b=1", "c"], "before the first"),
        (["label", "unicorn", "a", "b=1"], "unknown kind 'unicorn'"),
        (["label", "cm", "a", "-l", "x=1", "b=1"], "not both"),
        (["taint", "cm", "a", "b:NoSchedule"], "only nodes have taints"),
        (["cordon"], "cordon which node?"),
        (["cordon", "pod/x"], "pod/x is no node"),
    ):
        done = await steer(*words)
        assert done.code == 2, (words, done)
        assert says in done.err, (words, done)
        assert (done.out, done.err.count("\n")) == ("", 1), (words, done)


# --- nodes ----------------------------------------------------------------------------------------------------------


async def test_taints_come_change_and_go(api: Api, steer: Steer) -> None:
    await make_node(api, "n1")
    before = len((await api.nodes.get("n1")).spec.taints)
    assert await steer.ok("taint", "node", "n1", "gpu=yes:NoSchedule", "old:NoExecute") == "node/n1 tainted\n"
    assert await steer.ok("taint", "node", "n1", "gpu=yes:NoSchedule") == "node/n1 not tainted\n"
    refused = await steer("taint", "node", "n1", "gpu=no:NoSchedule")
    assert (refused.code, "--overwrite" in refused.err) == (1, True)
    await steer.ok("taint", "node", "n1", "gpu=no:NoSchedule", "--overwrite")
    assert await steer.ok("taint", "node", "n1", "old-") == "node/n1 untainted\n"
    assert (await steer("taint", "node", "n1", "old-")).code == 1
    taints = (await api.nodes.get("n1")).spec.taints
    assert [(t.key, t.value, t.effect) for t in taints][before:] == [("gpu", "no", "NoSchedule")]


async def test_nodes_are_closed_and_opened(api: Api, steer: Steer) -> None:
    await make_node(api, "n1", rack="r1")
    await make_node(api, "n2", rack="r1")
    assert await steer.ok("cordon", "n1") == "node/n1 cordoned\n"
    assert await steer.ok("cordon", "-l", "rack=r1") == "node/n1 already cordoned\nnode/n2 cordoned\n"
    assert (await api.nodes.get("n2")).spec.unschedulable
    assert await steer.ok("uncordon", "node/n2", "n1") == "node/n2 uncordoned\nnode/n1 uncordoned\n"
    assert not (await api.nodes.get("n2")).spec.unschedulable
    done = await steer("cordon", "n3", "n1")
    assert (done.code, done.out) == (4, "node/n1 cordoned\n")


async def test_a_node_is_drained(api: Api, steer: Steer) -> None:
    await make_node(api, "n1")
    await make_node(api, "n2")
    await make_pod(api, "a", "n1", "web")
    await make_pod(api, "b", "n1", "web")
    await make_pod(api, "elsewhere", "n2", "web")
    done = await steer.ok("drain", "n1", "--grace-period", "0")
    assert done.startswith("node/n1 cordoned\n")
    assert done.endswith("node/n1 drained\n")
    assert {"pod/a evicted", "pod/b evicted"} < set(done.splitlines())
    assert [each.metadata.name for each in await api.pods.list()] == ["elsewhere"]
    assert (await api.nodes.get("n1")).spec.unschedulable


async def test_nothing_goes_when_something_would_be_lost(api: Api, steer: Steer) -> None:
    await make_node(api, "n1")
    await make_pod(api, "owned", "n1", "web")
    await make_pod(api, "alone", "n1")
    refused = await steer("drain", "n1")
    assert refused.code == 1
    assert "default/alone have no controller" in refused.err
    assert "stays cordoned" in refused.err
    assert len(await api.pods.list()) == 2
    forced = await steer("drain", "n1", "--force", "--grace-period=0")
    assert forced.code == 0, forced
    assert "nobody makes them again" in forced.err
    assert not await api.pods.list()


async def test_a_drain_waits_for_a_budget(api: Api, steer: Steer) -> None:
    await make_node(api, "n1")
    await make_pod(api, "a", "n1", "web", app="web")
    await api.pods.update_status(await _ready(api, "a"))
    budget = PodDisruptionBudget()
    budget.metadata.name, budget.metadata.namespace = "web", "default"
    budget.spec.selector.match_labels["app"] = "web"
    budget.spec.min_available.type, budget.spec.min_available.int_val = 0, 1
    budget = await api.poddisruptionbudgets.create(budget)
    budget.status.observed_generation = budget.metadata.generation
    budget.status.current_healthy = budget.status.desired_healthy = budget.status.expected_pods = 1
    budget = await api.poddisruptionbudgets.update_status(budget)

    late = await steer("drain", "n1", "--grace-period=0", "--timeout", "1s")
    assert late.code == 1
    assert "default/a waits" in late.err
    assert "not drained within 1 s; left: default/a" in late.err

    draining = asyncio.create_task(steer.ok("drain", "n1", "--grace-period=0"))
    budget.status.disruptions_allowed = 1
    await api.poddisruptionbudgets.update_status(budget)
    assert "pod/a evicted" in await draining
    await make_pod(api, "b", "n1", "web", app="web")
    await api.pods.update_status(await _ready(api, "b"))
    assert "pod/b deleted" in await steer.ok("drain", "n1", "--grace-period=0", "--disable-eviction")


async def _ready(api: Api, name: str) -> Pod:
    found = await api.pods.get(name)
    found.status.phase = "Running"
    found.status.conditions.add(type="Ready", status="True")
    return found


async def test_a_drain_waits_until_pods_have_stopped(api: Api, steer: Steer) -> None:
    await make_node(api, "n1")
    await make_pod(api, "a", "n1", "web")
    draining = asyncio.create_task(steer("drain", "n1"))

    async def stops() -> bool:
        return (await api.pods.get("a")).metadata.HasField("deletion_timestamp")

    await eventually(stops)
    assert not draining.done()
    await api.pods.delete("a", grace_period_s=0)
    assert (await draining).code == 0


async def test_a_drain_as_a_dry_run(api: Api, steer: Steer) -> None:
    await make_node(api, "n1")
    await make_pod(api, "a", "n1", "web")
    done = await steer.ok("drain", "n1", "--dry-run")
    assert done == (
        "node/n1 cordoned (server dry run)\npod/a evicted (server dry run)\nnode/n1 drained (server dry run)\n"
    )
    assert not (await api.nodes.get("n1")).spec.unschedulable
    assert len(await api.pods.list()) == 1


async def test_only_some_pods_are_drained(api: Api, steer: Steer) -> None:
    await make_node(api, "n1")
    await make_pod(api, "a", "n1", "web", app="a")
    await make_pod(api, "b", "n1", "web", app="b")
    await steer.ok("drain", "n1", "--pod-selector", "app=a", "--grace-period=0")
    assert [each.metadata.name for each in await api.pods.list()] == ["b"]


async def test_who_may_not_evict_is_told_so(served: Served, steer: Steer, api: Api) -> None:
    await make_node(api, "n1")
    nobody = command_line(served, steer.folder, "nobody")
    done = await nobody("drain", "n1")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "nobody" in done.err
