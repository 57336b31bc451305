"""Roles: what they allow, whom, where, and who may grant them."""

from __future__ import annotations

from typing import Any

import pytest
from steersman import errors, reviews
from steersman.authentication.v1 import SelfSubjectReview
from steersman.authorization.v1 import (
    LocalSubjectAccessReview,
    SelfSubjectAccessReview,
    SelfSubjectRulesReview,
    SubjectAccessReview,
)
from steersman.client import Api

from tests.apiserver import access
from tests.apiserver.conftest import Served
from tests.apiserver.objects import config_map, namespace, pod
from tests.waiting import eventually


async def allowed(api: Api, verb: str, resource: str, *, namespace: str = "default", name: str = "") -> bool:
    """Whether the caller may, by its own question."""
    review = SelfSubjectAccessReview()
    plural, _, part = resource.partition("/")
    kind, _, group = plural.partition(".")
    asked = review.spec.resource_attributes
    asked.verb, asked.resource, asked.group, asked.subresource = verb, kind, group, part
    asked.namespace, asked.name = namespace, name
    return (await reviews.ask(api, review)).status.allowed


async def becomes_allowed(api: Api, verb: str, resource: str, **more: str) -> None:
    await eventually(lambda: allowed(api, verb, resource, **more))


async def test_a_role_allows_what_it_says_where_it_is_bound(served: Served, api: Api) -> None:
    ann = served.as_user("ann")
    await api.namespaces.create(namespace("other"))
    await api.configmaps.create(config_map(a="1"))
    await api.roles.create(access.role("reader", "get list watch", "configmaps"))
    await api.rolebindings.create(access.binding("ann-reads", "reader", "ann"))
    await becomes_allowed(ann, "get", "configmaps")
    assert (await ann.configmaps.get("c")).data["a"] == "1"
    assert len(await ann.configmaps.list(namespace="default")) == 1
    for call in (
        ann.configmaps.list(namespace="other"),
        ann.configmaps.list(),
        ann.configmaps.create(config_map("d")),
        ann.secrets.list(namespace="default"),
        served.as_user("bob").configmaps.get("c"),
    ):
        with pytest.raises(errors.Forbidden):
            await call
    await api.rolebindings.delete("ann-reads")

    async def refused() -> bool:
        return not await allowed(ann, "get", "configmaps")

    await eventually(refused)


async def test_a_rule_may_be_about_named_objects_and_parts_of_them(served: Served, api: Api) -> None:
    ann = served.as_user("ann")
    for name in ("mine", "other"):
        await api.configmaps.create(config_map(name))
    await api.roles.create(access.role("r", "get update list watch", "configmaps pods/status", only="mine"))
    await api.rolebindings.create(access.binding("b", "r", "ann"))
    await becomes_allowed(ann, "get", "configmaps", name="mine")
    await ann.configmaps.get("mine")
    assert [
        obj.metadata.name for obj in await ann.configmaps.list(namespace="default", field_selector="metadata.name=mine")
    ] == ["mine"]
    for call in (ann.configmaps.get("other"), ann.configmaps.list(namespace="default")):
        with pytest.raises(errors.Forbidden):
            await call
    assert not await allowed(ann, "update", "pods", name="mine")
    assert await allowed(ann, "update", "pods/status", name="mine")


async def test_a_cluster_role_reaches_as_far_as_its_binding(served: Served, api: Api) -> None:
    ann, bob = served.as_user("ann"), served.as_user("bob", "operators")
    await api.clusterroles.create(access.cluster_role("pods-reader", "list", "pods"))
    await api.rolebindings.create(access.binding("here", "pods-reader", "ann", kind="ClusterRole"))
    await api.clusterrolebindings.create(access.cluster_binding("everywhere", "pods-reader", group="operators"))
    await becomes_allowed(ann, "list", "pods")
    await becomes_allowed(bob, "list", "pods", namespace="")
    assert await bob.pods.list() == []
    with pytest.raises(errors.Forbidden):
        await ann.pods.list()


async def test_the_roles_for_people_are_sums(served: Served, api: Api) -> None:
    people = {name: served.as_user(name) for name in ("admin-ann", "edit-ed", "view-vi")}
    for name in people:
        await api.rolebindings.create(access.binding(name, name.partition("-")[0], name, kind="ClusterRole"))
    admin, edit, view = people.values()
    await becomes_allowed(view, "get", "pods/log")
    await becomes_allowed(edit, "create", "deployments.apps")
    await becomes_allowed(admin, "create", "roles.rbac.authorization.k8s.io")
    assert await allowed(admin, "get", "pods/log")
    assert await allowed(edit, "get", "secrets")
    assert not await allowed(edit, "create", "roles.rbac.authorization.k8s.io")
    assert not await allowed(view, "get", "secrets")
    assert not await allowed(view, "create", "pods/exec")
    assert not await allowed(admin, "update", "resourcequotas")
    gauges = access.cluster_role("gauges", "get", "gauges", group="example.org")
    gauges.metadata.labels["rbac.authorization.k8s.io/aggregate-to-view"] = "true"
    await api.clusterroles.create(gauges)
    for person in people.values():
        await becomes_allowed(person, "get", "gauges.example.org")


async def test_nobody_grants_what_they_may_not_do(served: Served, api: Api) -> None:
    ann = served.as_user("ann")
    await api.rolebindings.create(access.binding("ann", "admin", "ann", kind="ClusterRole"))
    await becomes_allowed(ann, "create", "roles.rbac.authorization.k8s.io")
    made = await ann.roles.create(access.role("fine", "get list", "pods configmaps"))
    for role in (
        access.role("quota", "update", "resourcequotas"),
        access.role("star", "*", "*"),
        access.role("nodes", "get", "nodes"),
    ):
        with pytest.raises(errors.Forbidden, match="it grants what the writer may not do"):
            await ann.roles.create(role)
    made.rules.add(verbs=["escalate"], api_groups=["rbac.authorization.k8s.io"], resources=["roles"])
    with pytest.raises(errors.Forbidden, match="escalate roles"):
        await ann.roles.update(made)
    with pytest.raises(errors.Forbidden, match="it grants what"):
        await ann.roles.patch("fine", b'{"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]}')
    await ann.rolebindings.create(access.binding("fine", "fine", "bob"))
    with pytest.raises(errors.Forbidden, match="it grants what"):
        await ann.rolebindings.create(access.binding("all", "cluster-admin", "bob", kind="ClusterRole"))
    with pytest.raises(errors.Forbidden, match="does not exist"):
        await ann.rolebindings.create(access.binding("none", "nothing", "bob"))
    # With the verb bind a role can be granted by who does not have it.
    binder = access.role("binder", "bind", "clusterroles", group="rbac.authorization.k8s.io", only="cluster-admin")
    await api.roles.create(binder)
    await api.rolebindings.create(access.binding("binder", "binder", "ann"))
    await becomes_allowed(ann, "bind", "clusterroles.rbac.authorization.k8s.io", name="cluster-admin")
    await ann.rolebindings.create(access.binding("all", "cluster-admin", "bob", kind="ClusterRole"))


async def test_only_who_may_do_everything_makes_sums_of_roles(served: Served, api: Api) -> None:
    ann = served.as_user("ann")
    await api.clusterroles.create(access.cluster_role("maker", "*", "clusterroles", group="*"))
    made = await api.clusterroles.get("maker")
    del made.rules[0].verbs[:]
    made.rules[0].verbs.extend(["create", "get"])
    await api.clusterroles.update(made)
    await api.clusterrolebindings.create(access.cluster_binding("maker", "maker", user="ann"))
    await becomes_allowed(ann, "create", "clusterroles.rbac.authorization.k8s.io", namespace="")
    total = access.cluster_role("total", "get", "clusterroles", group="rbac.authorization.k8s.io")
    await ann.clusterroles.create(total)
    total.metadata.name = "sum"
    total.aggregation_rule.cluster_role_selectors.add(match_labels={"a": "b"})
    with pytest.raises(errors.Forbidden, match="it grants what the writer may not do"):
        await ann.clusterroles.create(total)


async def test_apply_creates_only_for_those_who_may_create(served: Served, api: Api) -> None:
    ann = served.as_user("ann")
    await api.roles.create(access.role("patcher", "patch", "configmaps"))
    await api.rolebindings.create(access.binding("b", "patcher", "ann"))
    await becomes_allowed(ann, "patch", "configmaps")
    with pytest.raises(errors.Forbidden, match="create configmaps"):
        await ann.configmaps.apply(config_map(a="1"), field_manager="ann")
    await api.configmaps.create(config_map(b="1"))
    assert (await ann.configmaps.apply(config_map(a="1"), field_manager="ann")).data["a"] == "1"


async def test_default_roles_come_back_unless_they_are_left_alone(served: Served, api: Api) -> None:
    from apiserver import default_roles
    from apiserver.bootstrap_access import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES

    basic, proxier = await api.clusterroles.get("system:basic-user"), await api.clusterroles.get("system:node-proxier")
    assert basic.metadata.labels["kubernetes.io/bootstrapping"] == "rbac-defaults"
    del basic.rules[:]
    basic.rules.add(verbs=["get"], api_groups=[""], resources=["nodes"])
    await api.clusterroles.update(basic)
    del proxier.rules[:]
    proxier.metadata.annotations["rbac.authorization.kubernetes.io/autoupdate"] = "false"
    proxier = await api.clusterroles.update(proxier)
    await api.clusterrolebindings.delete("system:basic-user")
    registries = served.apiserver.registries
    roles, bindings = registries[CLUSTER_ROLES], registries[CLUSTER_ROLE_BINDINGS]
    version = int(proxier.metadata.resource_version)
    await eventually(lambda: roles.cache.revision >= version and bindings.cache.revision > version)
    await default_roles.ensure(roles, bindings)
    mended = await api.clusterroles.get("system:basic-user")
    assert [rule.resources[0] for rule in mended.rules] == ["nodes", "selfsubjectaccessreviews", "selfsubjectreviews"]
    assert await api.clusterrolebindings.get("system:basic-user")
    assert not (await api.clusterroles.get("system:node-proxier")).rules


# --- reviews --------------------------------------------------------------------------------------------------------


async def test_callers_ask_who_they_are_and_what_they_may(served: Served, api: Api) -> None:
    ann = served.as_user("ann", "people")
    me = await reviews.ask(ann, SelfSubjectReview())
    assert (me.status.user_info.username, list(me.status.user_info.groups)) == (
        "ann",
        ["people", "system:authenticated"],
    )
    await api.roles.create(access.role("r", "get", "pods"))
    await api.rolebindings.create(access.binding("b", "r", "ann"))
    await becomes_allowed(ann, "get", "pods")
    mine = SelfSubjectRulesReview()
    mine.spec.namespace = "default"
    answer = await reviews.ask(ann, mine)
    assert ["pods"] in [list(rule.resources) for rule in answer.status.resource_rules]
    assert any("/version" in rule.non_resource_urls for rule in answer.status.non_resource_rules)


async def test_those_who_may_ask_about_others(served: Served, api: Api) -> None:
    review = SubjectAccessReview()
    review.spec.user = "ann"
    review.spec.resource_attributes.verb, review.spec.resource_attributes.resource = "list", "nodes"
    assert not (await reviews.ask(api, review)).status.allowed
    review.spec.groups.append("system:masters")
    answer = await reviews.ask(api, review)
    assert answer.status.allowed
    assert "system:masters" in answer.status.reason
    paths = SubjectAccessReview()
    paths.spec.groups.append("system:monitoring")
    paths.spec.non_resource_attributes.path, paths.spec.non_resource_attributes.verb = "/metrics", "get"
    assert (await reviews.ask(api, paths)).status.allowed
    with pytest.raises(errors.Forbidden):
        await reviews.ask(served.as_user("ann"), review)
    for broken in (SubjectAccessReview(), LocalSubjectAccessReview()):
        with pytest.raises(errors.Invalid):
            await reviews.ask(api, broken)
    local = LocalSubjectAccessReview()
    local.metadata.namespace = "default"
    local.spec.user = "ann"
    local.spec.resource_attributes.namespace = "other"
    with pytest.raises(errors.Invalid, match="must be 'default'"):
        await reviews.ask(api, local)


# --- acting as somebody else ----------------------------------------------------------------------------------------


def acting(api: Api, *pairs: tuple[str, str]) -> Api:
    api.metadata = (*api.metadata, *pairs)
    return api


async def test_who_may_impersonate_acts_with_the_rights_of_the_other(served: Served, api: Api) -> None:
    as_ann = acting(served.as_user("admin", "system:masters"), ("impersonate-user", "ann"))
    with pytest.raises(errors.Forbidden, match="'ann' may not list pods"):
        await as_ann.pods.list()
    robot = acting(
        served.as_user("admin", "system:masters"), ("impersonate-user", "system:serviceaccount:default:robot")
    )
    me = await reviews.ask(robot, SelfSubjectReview())
    assert "system:serviceaccounts:default" in me.status.user_info.groups
    for pairs in (
        [("impersonate-user", "bob")],
        [("impersonate-user", "ann"), ("impersonate-group", "system:masters")],
        [("impersonate-user", "ann"), ("impersonate-uid", "7")],
    ):
        with pytest.raises(errors.Forbidden, match="may not impersonate"):
            await acting(served.as_user("mallory"), *pairs).pods.list()
    with pytest.raises(errors.Invalid, match="impersonate-user"):
        await acting(served.as_user("admin", "system:masters"), ("impersonate-group", "g")).pods.list()


# --- nodes ----------------------------------------------------------------------------------------------------------


def needy(name: str, node: str) -> Any:
    """A pod that refers to objects in every way."""
    made = pod(name, node=node)
    made.spec.volumes.add(name="c").volume_source.config_map.local_object_reference.name = f"{name}-volume"
    made.spec.volumes.add(name="s").volume_source.secret.secret_name = f"{name}-secret"
    projected = made.spec.volumes.add(name="p").volume_source.projected
    projected.sources.add().config_map.local_object_reference.name = f"{name}-projected"
    made.spec.containers[0].env_from.add().config_map_ref.local_object_reference.name = f"{name}-env"
    made.spec.image_pull_secrets.add(name=f"{name}-pull")
    return made


async def test_a_node_reads_what_its_own_pods_need_and_nothing_else(served: Served, api: Api) -> None:
    n1, n2 = (served.as_user(f"system:node:{name}", "system:nodes") for name in ("n1", "n2"))
    await api.pods.create(needy("a", "n1"))
    for part in ("volume", "projected", "env", "other"):
        await api.configmaps.create(config_map(f"a-{part}"))
    await becomes_allowed(n1, "get", "configmaps", name="a-env")
    for part in ("volume", "projected", "env"):
        assert (await n1.configmaps.get(f"a-{part}")).metadata.name == f"a-{part}"
    assert await n1.configmaps.list(namespace="default", field_selector="metadata.name=a-env")
    assert await allowed(n1, "watch", "secrets", name="a-pull")
    for call in (
        n1.configmaps.get("a-other"),
        n1.configmaps.list(namespace="default"),
        n1.configmaps.list(),
        n1.secrets.list(),
        n2.configmaps.get("a-env"),
        n1.pods.list(),
        n1.pods.list(field_selector="spec.nodeName=n2"),
        n2.pods.get("a"),
        n1.nodes.list(),
    ):
        with pytest.raises(errors.Forbidden):
            await call
    assert [p.metadata.name for p in await n1.pods.list(field_selector="spec.nodeName=n1")] == ["a"]
    await api.pods.delete("a", grace_period_s=0)

    async def forgotten() -> bool:
        return not await allowed(n1, "get", "configmaps", name="a-env")

    await eventually(forgotten)


async def test_a_node_says_of_itself_only_what_is_its_to_say(served: Served) -> None:
    from steersman.core.v1 import Node

    n1 = served.as_user("system:node:n1", "system:nodes")
    node = Node()
    node.metadata.name = "n1"
    node.metadata.labels.update(
        {"kubernetes.io/hostname": "n1", "node.kubernetes.io/size": "big", "example.org/a": "b"}
    )
    made = await n1.nodes.create(node)
    for key in (
        "node-role.kubernetes.io/control-plane",
        "kubernetes.io/secret-zone",
        "x.node-restriction.kubernetes.io/a",
    ):
        made.metadata.labels[key] = "x"
        with pytest.raises(errors.Forbidden, match="not the node's to change"):
            await n1.nodes.update(made)
        del made.metadata.labels[key]


async def test_a_node_makes_pods_only_as_pictures_of_its_own(served: Served) -> None:
    n1 = served.as_user("system:node:n1", "system:nodes")
    with pytest.raises(errors.Forbidden, match="only mirrors"):
        await n1.pods.create(pod("a", node="n1"))
    sly = needy("b", "n1")
    sly.metadata.annotations["kubernetes.io/config.mirror"] = "x"
    with pytest.raises(errors.Forbidden, match="may not refer to"):
        await n1.pods.create(sly)
    mirror = pod("c", node="n1")
    mirror.metadata.annotations["kubernetes.io/config.mirror"] = "x"
    await n1.pods.create(mirror)
    mirror = pod("d", node="n2")
    mirror.metadata.annotations["kubernetes.io/config.mirror"] = "x"
    with pytest.raises(errors.Forbidden, match="not bound to this node"):
        await n1.pods.create(mirror)


# --- certificates ---------------------------------------------------------------------------------------------------


async def test_a_certificate_is_asked_for_approved_and_signed_by_those_who_may(served: Served, api: Api) -> None:
    everything = access.cluster_role(
        "csr",
        "create get list update",
        "certificatesigningrequests certificatesigningrequests/status certificatesigningrequests/approval",
        group="certificates.k8s.io",
    )
    await api.clusterroles.create(everything)
    await api.clusterrolebindings.create(access.cluster_binding("csr", "csr", user="ann"))
    ann = served.as_user("ann", "people")
    await becomes_allowed(ann, "create", "certificatesigningrequests.certificates.k8s.io", namespace="")
    request = access.certificate_request("r")
    request.spec.username = "somebody-else"
    made = await ann.certificatesigningrequests.create(request)
    assert (made.spec.username, list(made.spec.groups)) == ("ann", ["people", "system:authenticated"])
    with pytest.raises(errors.Forbidden, match="may not approve signers"):
        await reviews.decide(ann, made, "Approved", reason="IWantIt")
    approved = await reviews.decide(api, made, "Approved", reason="Fine")
    assert [(c.type, c.status) for c in approved.status.conditions] == [("Approved", "True")]
    assert approved.status.conditions[0].last_update_time.seconds
    with pytest.raises(errors.FailedPrecondition, match="approved already"):
        await reviews.decide(api, approved, "Denied", reason="No")
    signed, _ = served.authority.issue("ann", now=approved.metadata.creation_timestamp.ToDatetime())
    approved.status.certificate = signed
    with pytest.raises(errors.Forbidden, match="may not sign signers"):
        await ann.certificatesigningrequests.update_status(approved)
    done = await api.certificatesigningrequests.update_status(approved)
    assert done.status.certificate == signed
    with pytest.raises(errors.Forbidden, match="nobody gets into system:masters"):
        await ann.certificatesigningrequests.create(
            access.certificate_request(
                "m", organizations=("system:masters",), signer="kubernetes.io/kube-apiserver-client"
            )
        )
