"""The rules of kinds that say who may do what, and how much."""

from __future__ import annotations

from typing import Any

import pytest
from steersman import errors
from steersman.client import Api

from tests.apiserver import access


async def refused(call: Any) -> list[str]:
    """Which fields a write was refused for."""
    with pytest.raises(errors.Invalid) as caught:
        await call
    return [violation.field for violation in caught.value.violations]


async def test_roles_say_what_is_wrong_with_their_rules(api: Api) -> None:
    wrong = access.role("r", "", "pods")
    wrong.rules.add(verbs=["get"], non_resource_urls=["/metrics"])
    wrong.rules.add(verbs=["get"])
    assert await refused(api.roles.create(wrong)) == [
        "rules[0].verbs",
        "rules[1].nonResourceURLs",
        "rules[2].apiGroups",
        "rules[2].resources",
    ]
    assert await refused(api.roles.create(access.role("a/b", "get", "pods"))) == ["metadata.name"]
    assert (await api.roles.create(access.role("system:of:many", "get", "pods"))).rules[0].verbs == ["get"]


async def test_a_bindings_role_stays_and_its_groups_are_filled_in(api: Api) -> None:
    made = await api.rolebindings.create(access.binding("b", "r", "ann"))
    group = "rbac.authorization.k8s.io"
    assert (made.role_ref.api_group, made.subjects[0].api_group) == (group, group)
    made.role_ref.name = "other"
    assert await refused(api.rolebindings.update(made)) == ["roleRef"]
    wrong = access.cluster_binding("b", "r", user="ann")
    wrong.role_ref.kind = "Role"
    wrong.subjects.add(kind="ServiceAccount", name="sa")
    wrong.subjects.add(kind="Robot", name="x")
    assert await refused(api.clusterrolebindings.create(wrong)) == [
        "roleRef.kind",
        "subjects[1].namespace",
        "subjects[2].kind",
    ]


async def test_quotas_know_what_they_can_bound(api: Api) -> None:
    wrong = access.quota(cpu="-1", memory="much", bananas="3")
    assert sorted(await refused(api.resourcequotas.create(wrong))) == [
        "spec.hard[bananas]",
        "spec.hard[cpu]",
        "spec.hard[memory]",
    ]
    scoped = access.quota(pods="1", services="1")
    scoped.spec.scopes.extend(["BestEffort", "NotBestEffort"])
    assert await refused(api.resourcequotas.create(scoped)) == ["spec.scopes", "spec.hard[services]"]
    made = await api.resourcequotas.create(access.quota(pods="1"))
    made.spec.scopes.append("BestEffort")
    assert await refused(api.resourcequotas.update(made)) == ["spec.scopes"]


async def test_limits_fill_in_what_follows_from_them(api: Api) -> None:
    made = await api.limitranges.create(access.limit_range(max={"cpu": "2"}, min={"memory": "1Mi"}))
    item = made.spec.limits[0]
    assert (item.default["cpu"].value, item.default_request["cpu"].value) == ("2", "2")
    assert item.default_request["memory"].value == "1Mi"
    crooked = access.limit_range("x", min={"cpu": "3"}, max={"cpu": "2"})
    assert await refused(api.limitranges.create(crooked)) == ["spec.limits[0].min[cpu]"]
    assert await refused(api.limitranges.create(access.limit_range("x", type="Pod", default={"cpu": "1"}))) == [
        "spec.limits[0].default"
    ]


async def test_a_priority_class_means_the_same_for_ever(api: Api) -> None:
    made = await api.priorityclasses.create(access.priority_class("high", 1000))
    assert made.preemption_policy == "PreemptLowerPriority"
    made.value = 2000
    assert await refused(api.priorityclasses.update(made)) == ["value"]
    assert await refused(api.priorityclasses.create(access.priority_class("huge", 1_000_000_001))) == ["value"]
    assert await refused(api.priorityclasses.create(access.priority_class("system-mine", 1))) == ["metadata.name"]


async def test_requests_for_certificates_are_read_before_they_are_kept(api: Api) -> None:
    made = await api.certificatesigningrequests.create(access.certificate_request("r"))
    assert made.spec.signer_name == "example.org/signer"
    made.spec.signer_name = "example.org/other"
    assert (await api.certificatesigningrequests.update(made)).spec.signer_name == "example.org/signer"
    wrong = access.certificate_request("w", signer="nobody", usages=("magic",))
    wrong.spec.request = b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"
    assert await refused(api.certificatesigningrequests.create(wrong)) == [
        "spec.request",
        "spec.signerName",
        "spec.usages[0]",
    ]
    made.status.certificate = b"nothing"
    assert await refused(api.certificatesigningrequests.update_status(made)) == [
        "status.certificate",
        "status.certificate",
    ]
