"""Server-side apply: who owns what, and what that means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from steersman import errors
from steersman.client import Api

from tests.apiserver.objects import config_map, deployment, service


def owners(obj: Any) -> dict[str, Any]:
    return {f"{e.manager}/{e.operation}": json.loads(e.fields_v1.raw) for e in obj.metadata.managed_fields}


async def test_apply_creates_and_then_changes(api: Api) -> None:
    made = await api.configmaps.apply(config_map(a="1"), field_manager="one")
    assert owners(made) == {"one/Apply": {"f:data": {"f:a": {}}}}
    again = await api.configmaps.apply(config_map(a="1"), field_manager="one")
    assert again.metadata.resource_version == made.metadata.resource_version
    changed = await api.configmaps.apply(config_map(a="2", b="3"), field_manager="one")
    assert dict(changed.data) == {"a": "2", "b": "3"}


async def test_what_is_no_longer_applied_goes_unless_another_owns_it(api: Api) -> None:
    await api.configmaps.apply(config_map(a="1", b="2"), field_manager="one")
    await api.configmaps.apply(config_map(b="2", c="3"), field_manager="two")
    left = await api.configmaps.apply(config_map(), field_manager="one")
    assert dict(left.data) == {"b": "2", "c": "3"}
    assert owners(left).keys() == {"one/Apply", "two/Apply"}


async def test_a_different_value_is_a_conflict_that_names_the_owner(api: Api) -> None:
    await api.deployments.apply(deployment(replicas=2), field_manager="one")
    with pytest.raises(errors.Conflict) as caught:
        await api.deployments.apply(deployment(replicas=3, image="b:1"), field_manager="two")
    assert caught.value.facts == {"one": 'spec.replicas, spec.template.spec.containers[name="c"].image'}
    forced = await api.deployments.apply(deployment(replicas=3, image="b:1"), field_manager="two", force=True)
    assert forced.spec.replicas == 3
    assert "f:replicas" not in owners(forced)["one/Apply"]["f:spec"]
    assert "f:replicas" in owners(forced)["two/Apply"]["f:spec"]


async def test_an_update_takes_over_what_it_changes(api: Api) -> None:
    made = await api.deployments.apply(deployment(replicas=2), field_manager="one")
    made.spec.replicas = 8
    changed = await api.deployments.update(made, field_manager="scaler")
    assert owners(changed)["scaler/Update"] == {"f:spec": {"f:replicas": {}}}
    with pytest.raises(errors.Conflict, match="applied by 'scaler'"):
        await api.deployments.apply(deployment(replicas=2), field_manager="one")
    same = await api.deployments.apply(deployment(replicas=8), field_manager="one")
    assert same.spec.replicas == 8


async def test_list_elements_are_merged_by_their_keys(api: Api) -> None:
    first = deployment()
    first.spec.template.spec.containers[0].ports.add(container_port=80, name="http")
    await api.deployments.apply(first, field_manager="one")
    sidecar = deployment()
    del sidecar.spec.template.spec.containers[:]
    sidecar.spec.template.spec.containers.add(name="sidecar", image="s:1")
    sidecar.spec.ClearField("replicas")
    both = await api.deployments.apply(sidecar, field_manager="two")
    assert [c.name for c in both.spec.template.spec.containers] == ["c", "sidecar"]
    # The protocol that is left out is the stored one's default: still one port.
    again = await api.deployments.apply(first, field_manager="one")
    assert [(p.container_port, p.protocol) for p in again.spec.template.spec.containers[0].ports] == [(80, "TCP")]
    first.spec.template.spec.containers[0].ClearField("ports")
    without = await api.deployments.apply(first, field_manager="one")
    assert [len(c.ports) for c in without.spec.template.spec.containers] == [0, 0]


async def test_what_the_apiserver_gave_out_stays(api: Api) -> None:
    made = await api.services.apply(service(), field_manager="one")
    again = await api.services.apply(service(ports=(81,)), field_manager="one")
    assert again.spec.cluster_ip == made.spec.cluster_ip
    assert [port.port for port in again.spec.ports] == [81]


async def test_what_was_there_before_anybody_applied_is_taken_over_silently(api: Api) -> None:
    await api.configmaps.create(config_map(a="1", b="2"))
    changed = await api.configmaps.apply(config_map(a="9"), field_manager="one")
    assert dict(changed.data) == {"a": "9", "b": "2"}


async def test_apply_needs_a_manager_and_a_name(api: Api) -> None:
    with pytest.raises(errors.Invalid, match="field_manager"):
        await api.configmaps.apply(config_map(), field_manager="")
    with pytest.raises(errors.Invalid, match=r"metadata.name"):
        await api.configmaps.apply(config_map(""), field_manager="one")
