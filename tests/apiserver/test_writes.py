"""Creating, changing and deleting objects."""

from __future__ import annotations

import pytest
from steersman import errors
from steersman.client import Api
from steersman.meta.v1 import JSON_PATCH, MERGE_PATCH, STRICT

from tests.apiserver.conftest import Served
from tests.apiserver.objects import config_map, deployment, namespace, pod, service


async def test_create_fills_in_what_the_apiserver_writes(api: Api) -> None:
    made = await api.pods.create(pod())
    assert made.metadata.uid
    assert made.metadata.resource_version.isdigit()
    assert made.metadata.generation == 1
    assert made.metadata.creation_timestamp.seconds
    assert made.status.phase == "Pending"
    assert made.status.qos_class == "BestEffort"
    assert made.spec.restart_policy == "Always"
    assert made.spec.containers[0].image_pull_policy == "IfNotPresent"
    assert {t.key for t in made.spec.tolerations} == {
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    }
    assert await api.pods.get("p") == made


async def test_a_name_is_taken_once_and_can_be_made_up(api: Api) -> None:
    await api.pods.create(pod())
    with pytest.raises(errors.AlreadyExists) as caught:
        await api.pods.create(pod())
    assert caught.value.facts == {"resource": "pods", "name": "p"}
    nameless = pod("")
    nameless.metadata.generate_name = "job-"
    names = {(await api.pods.create(nameless)).metadata.name for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("job-") and len(name) == 9 for name in names)


async def test_status_and_spec_are_written_apart(api: Api) -> None:
    made = await api.deployments.create(deployment())
    made.spec.replicas = 5
    made.status.replicas = 99
    changed = await api.deployments.update(made)
    assert (changed.spec.replicas, changed.status.replicas, changed.metadata.generation) == (5, 0, 2)
    changed.spec.replicas = 7
    changed.status.replicas = 3
    shown = await api.deployments.update_status(changed)
    assert (shown.spec.replicas, shown.status.replicas, shown.metadata.generation) == (5, 3, 2)


async def test_a_write_for_another_version_is_refused(api: Api) -> None:
    made = await api.configmaps.create(config_map(a="1"))
    made.data["a"] = "2"
    await api.configmaps.update(made)
    made.data["a"] = "3"
    with pytest.raises(errors.Conflict, match="the write was made for"):
        await api.configmaps.update(made)
    made.metadata.resource_version = ""
    assert (await api.configmaps.update(made)).data["a"] == "3"
    made.metadata.uid = "another"
    with pytest.raises(errors.Conflict, match="its uid is"):
        await api.configmaps.update(made)


async def test_a_write_that_changes_nothing_keeps_the_version(api: Api) -> None:
    made = await api.configmaps.create(config_map(a="1"))
    assert await api.configmaps.update(made) == made


async def test_an_update_may_not_change_who_an_object_is(api: Api) -> None:
    made = await api.deployments.create(deployment())
    made.spec.selector.match_labels["app"] = "other"
    made.spec.template.metadata.labels["app"] = "other"
    with pytest.raises(errors.Invalid) as caught:
        await api.deployments.update(made)
    assert [violation.field for violation in caught.value.violations] == ["spec.selector"]


async def test_a_pods_spec_is_frozen_but_for_its_image(api: Api) -> None:
    made = await api.pods.create(pod())
    made.spec.containers[0].image = "b:2"
    changed = await api.pods.update(made)
    assert (changed.spec.containers[0].image, changed.metadata.generation) == ("b:2", 2)
    changed.spec.hostname = "other"
    with pytest.raises(errors.Invalid, match=r"spec.hostname: may not change"):
        await api.pods.update(changed)


async def test_everything_wrong_with_an_object_is_said_at_once(api: Api) -> None:
    bad = pod("Bad_Name", image="")
    bad.metadata.labels["a b"] = "c d"
    bad.spec.containers[0].ports.add(container_port=70000)
    bad.spec.containers[0].resources.requests["cpu"].value = "much"
    bad.spec.containers[0].volume_mounts.add(name="none", mount_path="/x")
    with pytest.raises(errors.Invalid) as caught:
        await api.pods.create(bad)
    assert {violation.field for violation in caught.value.violations} == {
        "metadata.name",
        "metadata.labels",
        "metadata.labels[a b]",
        "spec.containers[0].image",
        "spec.containers[0].ports[0].containerPort",
        "spec.containers[0].resources.requests[cpu]",
        "spec.containers[0].volumeMounts[0].name",
    }


async def test_a_dry_run_does_everything_but_store(api: Api) -> None:
    shown = await api.configmaps.create(config_map(a="1"), dry_run=True)
    assert shown.metadata.uid
    with pytest.raises(errors.NotFound):
        await api.configmaps.get("c")
    made = await api.configmaps.create(config_map(a="1"))
    made.data["a"] = "2"
    assert (await api.configmaps.update(made, dry_run=True)).data["a"] == "2"
    await api.configmaps.delete("c", dry_run=True)
    assert (await api.configmaps.get("c")).data["a"] == "1"


async def test_fields_that_nothing_acts_on_are_stored_with_a_warning(served: Served, api: Api) -> None:
    made = pod()
    made.spec.host_users = False
    assert (await api.pods.create(made)).spec.HasField("host_users")
    assert served.warnings == ["spec.hostUsers: no user namespace is made"]


async def test_an_object_of_too_many_bytes_is_refused(api: Api) -> None:
    with pytest.raises(errors.Invalid, match="bytes"):
        await api.configmaps.create(config_map(a="x" * 2_000_000))


async def test_immutable_data_stays(api: Api) -> None:
    frozen = config_map(a="1")
    frozen.immutable = True
    made = await api.configmaps.create(frozen)
    made.metadata.labels["free"] = "yes"
    made = await api.configmaps.update(made)
    made.data["a"] = "2"
    made.immutable = False
    with pytest.raises(errors.Invalid) as caught:
        await api.configmaps.update(made)
    assert [violation.field for violation in caught.value.violations] == ["immutable", "data"]


async def test_nothing_is_created_in_a_namespace_that_is_missing_or_going(api: Api) -> None:
    with pytest.raises(errors.NotFound, match="namespaces 'nowhere'"):
        await api.configmaps.create(config_map(namespace="nowhere"))
    await api.namespaces.create(namespace("brief"))
    await api.configmaps.create(config_map(namespace="brief"))
    going = await api.namespaces.delete("brief")
    assert going.metadata.HasField("deletion_timestamp")
    with pytest.raises(errors.FailedPrecondition, match="is being deleted"):
        await api.configmaps.create(config_map("d", namespace="brief"))
    with pytest.raises(errors.FailedPrecondition, match="it stays"):
        await api.namespaces.delete("default")


# --- deletion -------------------------------------------------------------------------------------------------------


async def test_a_pod_on_a_node_gets_its_grace_period(api: Api) -> None:
    made = pod(node="n1")
    made.spec.termination_grace_period_seconds = 7
    await api.pods.create(made)
    going = await api.pods.delete("p")
    assert (going.metadata.deletion_grace_period_seconds, going.metadata.generation) == (7, 2)
    longer = await api.pods.delete("p", grace_period_s=60)
    assert longer.metadata.deletion_grace_period_seconds == 7
    shorter = await api.pods.delete("p", grace_period_s=2)
    assert shorter.metadata.deletion_grace_period_seconds == 2
    await api.pods.delete("p", grace_period_s=0)
    with pytest.raises(errors.NotFound):
        await api.pods.get("p")


async def test_a_pod_on_no_node_goes_at_once(api: Api) -> None:
    await api.pods.create(pod())
    await api.pods.delete("p")
    with pytest.raises(errors.NotFound):
        await api.pods.get("p")


async def test_preconditions_of_a_deletion(api: Api) -> None:
    made = await api.configmaps.create(config_map())
    with pytest.raises(errors.Conflict):
        await api.configmaps.delete("c", uid="another")
    with pytest.raises(errors.Conflict):
        await api.configmaps.delete("c", resource_version="1")
    await api.configmaps.delete("c", uid=made.metadata.uid, resource_version=made.metadata.resource_version)


async def test_finalizers_hold_an_object_until_they_are_taken_off(api: Api) -> None:
    held = config_map()
    held.metadata.finalizers.append("example.org/hold")
    await api.configmaps.create(held)
    going = await api.configmaps.delete("c")
    assert going.metadata.HasField("deletion_timestamp")
    going.metadata.finalizers.append("example.org/another")
    with pytest.raises(errors.Invalid, match="none may be added"):
        await api.configmaps.update(going)
    del going.metadata.finalizers[:]
    await api.configmaps.update(going)
    with pytest.raises(errors.NotFound):
        await api.configmaps.get("c")


@pytest.mark.parametrize(("policy", "finalizer"), [("Orphan", "orphan"), ("Foreground", "foregroundDeletion")])
async def test_what_becomes_of_dependents_is_noted_for_the_collector(api: Api, policy: str, finalizer: str) -> None:
    await api.deployments.create(deployment())
    going = await api.deployments.delete("d", propagation_policy=policy)
    assert list(going.metadata.finalizers) == [finalizer]
    with pytest.raises(errors.Invalid, match="propagation_policy"):
        await api.deployments.delete("d", propagation_policy="Sideways")


async def test_a_collection_is_deleted_by_label(api: Api) -> None:
    for name in ("a", "b", "c"):
        made = config_map(name)
        made.metadata.labels["go"] = "yes" if name != "b" else "no"
        await api.configmaps.create(made)
    gone = await api.configmaps.delete_collection(namespace="default", label_selector="go=yes")
    assert [obj.metadata.name for obj in gone] == ["a", "c"]
    assert [obj.metadata.name for obj in await api.configmaps.list(namespace="default")] == ["b"]
    with pytest.raises(errors.Invalid, match="one namespace at a time"):
        await api.configmaps.delete_collection()


# --- patches --------------------------------------------------------------------------------------------------------


async def test_three_languages_of_patches(api: Api) -> None:
    await api.deployments.create(deployment())
    strategic = b'{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"b:2"},{"name":"d","image":"d:1"}]}}}}'
    changed = await api.deployments.patch("d", strategic)
    assert [(c.name, c.image) for c in changed.spec.template.spec.containers] == [("c", "b:2"), ("d", "d:1")]
    removed = b'{"spec":{"template":{"spec":{"containers":[{"name":"d","$patch":"delete"}]}}}}'
    changed = await api.deployments.patch("d", removed)
    assert [c.name for c in changed.spec.template.spec.containers] == ["c"]
    changed = await api.deployments.patch("d", b'{"spec":{"replicas":4}}', type=MERGE_PATCH)
    assert changed.spec.replicas == 4
    steps = b'[{"op":"test","path":"/spec/replicas","value":4},{"op":"replace","path":"/spec/replicas","value":6}]'
    assert (await api.deployments.patch("d", steps, type=JSON_PATCH)).spec.replicas == 6
    with pytest.raises(errors.Invalid, match="cannot be applied"):
        await api.deployments.patch("d", steps, type=JSON_PATCH)


async def test_a_patch_of_the_status_changes_nothing_else(api: Api) -> None:
    await api.deployments.create(deployment())
    patch = b'{"spec":{"replicas":9},"status":{"replicas":2}}'
    changed = await api.deployments.patch("d", patch, subresource="status")
    assert (changed.spec.replicas, changed.status.replicas) == (1, 2)


async def test_unknown_fields_in_a_patch_are_warned_of_or_refused(served: Served, api: Api) -> None:
    await api.configmaps.create(config_map())
    await api.configmaps.patch("c", b'{"dta":{"a":"1"}}')
    assert served.warnings == ["dta: unknown field; did you mean 'data'?"]
    with pytest.raises(errors.Invalid, match="dta: unknown field"):
        await api.configmaps.patch("c", b'{"dta":{"a":"1"}}', field_validation=STRICT)
    for nonsense in (b"{", b"[]", b"\xff"):
        with pytest.raises(errors.Invalid):
            await api.configmaps.patch("c", nonsense)


async def test_scale(api: Api) -> None:
    await api.deployments.create(deployment())
    assert (await api.deployments.scale("d", 0)).spec.replicas == 0
    with pytest.raises(errors.Invalid):
        await api.deployments.scale("d", -1)
    with pytest.raises(errors.Unsupported):
        await api.configmaps.scale("c", 1)


# --- services -------------------------------------------------------------------------------------------------------


async def test_services_get_addresses_and_ports_of_their_own(api: Api) -> None:
    made = [await api.services.create(service(f"s{i}", type="NodePort")) for i in range(3)]
    assert len({one.spec.cluster_ip for one in made}) == 3
    assert len({one.spec.ports[0].node_port for one in made}) == 3
    assert (await api.services.get("kubernetes")).spec.cluster_ip == "10.96.0.1"
    wanted = await api.services.create(service("w", cluster_ip="10.96.0.9"))
    assert list(wanted.spec.cluster_ips) == ["10.96.0.9"]
    with pytest.raises(errors.Conflict, match=r"10.96.0.9 is given to another"):
        await api.services.create(service("x", cluster_ip="10.96.0.9"))
    with pytest.raises(errors.Invalid, match=r"10.97.0.1 is not an address of"):
        await api.services.create(service("x", cluster_ip="10.97.0.1"))
    await api.services.delete("w")
    assert (await api.services.create(service("x", cluster_ip="10.96.0.9"))).spec.cluster_ip == "10.96.0.9"
    assert (await api.services.create(service("h", cluster_ip="None"))).spec.cluster_ip == "None"


async def test_node_ports_run_out_and_come_back(api: Api) -> None:
    await api.services.create(service("big", type="NodePort", ports=(1, 2, 3, 4, 5, 6)))
    with pytest.raises(errors.Exhausted, match="no free node port"):
        await api.services.create(service("late", type="NodePort"))
    balanced = service("balanced", type="LoadBalancer")
    balanced.spec.allocate_load_balancer_node_ports = False
    assert (await api.services.create(balanced)).spec.ports[0].node_port == 0
    small = await api.services.get("big")
    small.spec.type = "ClusterIP"
    small = await api.services.update(small)
    assert {port.node_port for port in small.spec.ports} == {0}
    late = await api.services.create(service("late", type="NodePort"))
    assert 30000 <= late.spec.ports[0].node_port <= 30005


async def test_a_services_address_stays(api: Api) -> None:
    made = await api.services.create(service())
    address = made.spec.cluster_ip
    made.spec.ClearField("cluster_ip")
    made.spec.ClearField("cluster_ips")
    made.spec.ports[0].port = 81
    assert (await api.services.update(made)).spec.cluster_ip == address
    made = await api.services.get("s")
    made.spec.cluster_ip = "10.96.0.7"  # below what is given out by chance: never the address it has
    with pytest.raises(errors.Invalid, match=r"may not change from"):
        await api.services.update(made)


# --- binding --------------------------------------------------------------------------------------------------------


async def test_a_pod_is_bound_once(api: Api) -> None:
    made = await api.pods.create(pod())
    with pytest.raises(errors.Conflict):
        await api.pods.bind("p", node_name="n1", uid="another")
    bound = await api.pods.bind("p", node_name="n1", uid=made.metadata.uid)
    assert bound.spec.node_name == "n1"
    assert [(c.type, c.status) for c in bound.status.conditions] == [("PodScheduled", "True")]
    with pytest.raises(errors.Conflict, match="bound to node 'n1' already"):
        await api.pods.bind("p", node_name="n2")


async def test_a_gated_pod_is_not_bound(api: Api) -> None:
    gated = pod()
    gated.spec.scheduling_gates.add(name="example.org/wait")
    await api.pods.create(gated)
    with pytest.raises(errors.FailedPrecondition, match=r"example\.org/wait"):
        await api.pods.bind("p", node_name="n1")
