"""Every kind on a running apiserver: created from its manifest, read, changed, applied and deleted by a client."""

from __future__ import annotations

from typing import Any

import pytest
from steersman import errors, kinds
from steersman.client import Api
from steersman.manifests import codec
from steersman.meta.v1 import MERGE_PATCH

from apiserver.unacted import UNACTED
from tests import manifests
from tests.apiserver.conftest import Served
from tests.manifests.loss import lost

# Kinds that another part of the apiserver acts on when they are written, each with tests of its own.
ELSEWHERE = {"CertificateSigningRequest"}
EVERY = [each for each in manifests.documents() if each["kind"] not in ELSEWHERE]


def made_of(document: dict[str, Any]) -> Any:
    obj: Any = codec.decode_object(document)
    if kinds.of(obj).namespaced and not obj.metadata.namespace:
        obj.metadata.namespace = "default"
    return obj


@pytest.mark.parametrize("document", EVERY, ids=manifests.label)
async def test_from_its_manifest_to_its_end(api: Api, document: dict[str, Any]) -> None:
    wanted = made_of(document)
    kind = kinds.of(wanted)
    client: Any = api.resource(kind)
    where = {"namespace": wanted.metadata.namespace} if kind.namespaced else {}
    name = wanted.metadata.name
    made = await client.create(wanted)
    assert await client.get(name, **where) == made
    # What was written is there; the apiserver only added to it.
    changed = [each for each in lost(codec.encode(wanted), codec.encode(made)) if ": None became" not in each]
    assert changed == []
    again = await client.update(made)
    assert again == made, "an update with what is there changes nothing"
    patched = await client.patch(name, b'{"metadata": {"labels": {"seen": "yes"}}}', type=MERGE_PATCH, **where)
    assert patched.metadata.labels["seen"] == "yes"
    fields: Any = kind.message()
    fields.metadata.name, fields.metadata.namespace = name, wanted.metadata.namespace
    fields.metadata.annotations["applied"] = "yes"
    applied = await client.apply(fields, field_manager="test")
    assert applied.metadata.annotations["applied"] == "yes"
    assert await client.apply(fields, field_manager="test") == applied
    assert applied.metadata.generation == made.metadata.generation, "metadata is no part of the wish"
    with pytest.raises(errors.AlreadyExists):
        await client.create(wanted)
    await client.delete(name, **where)


@pytest.mark.parametrize("kind", [kind for kind in kinds.every() if kind.has_status], ids=str)
async def test_a_new_object_has_no_status_of_its_own_making(api: Api, kind: kinds.Kind) -> None:
    if kind.kind in ELSEWHERE | {"Node"}:
        pytest.skip("registers with its status")
    wanted = made_of(manifests.of(kind.api_version, kind.kind))
    field = next((each for each in wanted.status.DESCRIPTOR.fields if each.name == "conditions"), None)
    if field is None:
        pytest.skip("its status has no conditions")
    wanted.status.conditions.add(type="Made", status="True")
    made: Any = await api.resource(kind).create(wanted)
    assert [each for each in made.status.conditions if each.type == "Made"] == []


async def test_a_workload_counts_its_generations(api: Api) -> None:
    made: Any = await api.statefulsets.create(made_of(manifests.of("apps/v1", "StatefulSet")))
    made.status.replicas, made.status.ready_replicas = 3, 3
    made = await api.statefulsets.update_status(made)
    assert (made.metadata.generation, made.status.ready_replicas) == (1, 3)
    made.spec.replicas, made.status.ready_replicas = 5, 0
    made = await api.statefulsets.update(made)
    assert (made.metadata.generation, made.status.ready_replicas) == (2, 3)
    with pytest.raises(errors.Invalid, match=r"spec.serviceName: may not change"):
        made.spec.service_name = "other"
        await api.statefulsets.update(made)


async def test_a_claim_is_a_whole_for_who_applies(api: Api) -> None:
    """A selector has one owner, so that two managers cannot make one of two halves."""
    made: Any = made_of(manifests.of("policy/v1", "PodDisruptionBudget"))
    await api.poddisruptionbudgets.apply(made, field_manager="one")
    made.spec.selector.match_labels["tier"] = "front"
    with pytest.raises(errors.Conflict, match=r"spec.selector applied by 'one'"):
        await api.poddisruptionbudgets.apply(made, field_manager="two")


async def test_a_patch_replaces_a_selector_of_a_budget(api: Api) -> None:
    await api.poddisruptionbudgets.create(made_of(manifests.of("policy/v1", "PodDisruptionBudget")))
    patch = b'{"spec": {"selector": {"matchLabels": {"tier": "front"}}}}'
    patched: Any = await api.poddisruptionbudgets.patch("web", patch)
    assert dict(patched.spec.selector.match_labels) == {"tier": "front"}


async def test_who_writes_what_nobody_acts_on_is_told(served: Served, api: Api) -> None:
    for kind in kinds.every():
        name = kind.message.DESCRIPTOR.full_name
        if kind.kind in ELSEWHERE or name not in UNACTED:
            continue
        served.warnings.clear()
        await api.resource(kind).create(made_of(manifests.of(kind.api_version, kind.kind)))
        assert served.warnings[0] == f"stored, and not acted on: {UNACTED[name]}"
    served.warnings.clear()
    await api.deployments.create(made_of(manifests.of("apps/v1", "Deployment")))
    assert served.warnings == []
    assert set(UNACTED) <= {kind.message.DESCRIPTOR.full_name for kind in kinds.every()}


@pytest.mark.parametrize(
    ("api_version", "kind", "default"),
    [
        ("batch/v1", "Job", ["orphan"]),
        ("v1", "ReplicationController", ["orphan"]),
        ("apps/v1", "StatefulSet", []),
        ("apps/v1", "Deployment", []),
    ],
)
async def test_what_becomes_of_pods_when_nobody_says(api: Api, api_version: str, kind: str, default: list[str]) -> None:
    for policy, finalizers in ((None, default), ("Background", []), ("Foreground", ["foregroundDeletion"])):
        wanted = made_of(manifests.of(api_version, kind))
        wanted.metadata.finalizers.append("example.org/held")
        client: Any = api.resource(type(wanted))
        await client.create(wanted)
        gone = await client.delete(wanted.metadata.name, propagation_policy=policy)
        assert gone.metadata.finalizers == ["example.org/held", *finalizers]
        again = await client.delete(wanted.metadata.name)
        assert again.metadata.finalizers == gone.metadata.finalizers, "a second call takes nothing back"
        del gone.metadata.finalizers[:]
        gone.metadata.resource_version = ""
        await client.update(gone)


async def test_two_managers_share_what_is_no_whole(api: Api) -> None:
    """A volume's claim reference is owned field by field, although references are wholes elsewhere."""
    made: Any = made_of(manifests.of("v1", "PersistentVolume"))
    await api.persistentvolumes.create(made)
    for manager, name, value in (("binder", "namespace", "default"), ("namer", "name", "data")):
        fields: Any = type(made)()
        fields.metadata.name = made.metadata.name
        setattr(fields.spec.claim_ref, name, value)
        await api.persistentvolumes.apply(fields, field_manager=manager)
    shared: Any = await api.persistentvolumes.get(made.metadata.name)
    assert (shared.spec.claim_ref.namespace, shared.spec.claim_ref.name) == ("default", "data")
    fields.spec.claim_ref.namespace = "other"
    with pytest.raises(errors.Conflict, match=r"spec.claimRef.namespace applied by 'binder'"):
        await api.persistentvolumes.apply(fields, field_manager="namer")
