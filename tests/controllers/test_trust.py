"""Accounts, authorities, tokens to join with, and certificates of nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from steersman import errors, reviews
from steersman.client import Api
from steersman.core.v1 import Node
from steersman.pki import key_pem
from steersman.runtime import Runtime

from controllers.bootstrap import NAME, Settings, control
from controllers.certificates import plan
from controllers.certificates.controller import Signer
from controllers.node.controller import Settings as NodeSettings
from tests.apiserver.access import certificate_request, cluster_role
from tests.apiserver.conftest import Served
from tests.apiserver.objects import namespace
from tests.apiserver.test_tokens import bootstrap_token
from tests.waiting import eventually


@pytest.fixture
async def trusting(served: Served) -> AsyncIterator[Api]:
    """The administrator's client, with control loops that publish and sign with the test's authority."""
    key = served.folder / "ca.key"
    key.write_bytes(key_pem(served.authority.key))
    manager = served.as_user("system:kube-controller-manager")
    manager.patient = True
    settings = Settings(
        node=NodeSettings(cluster_cidr="10.244.0.0/16"),
        root_ca=served.ca.read_text(),
        signer=Signer.read(served.ca, key),
    )
    runtime = Runtime(manager, NAME)
    control(runtime, settings)
    async with runtime:
        yield served.as_user("admin", "system:masters")


async def there(call: Any) -> Any:
    try:
        return await call()
    except errors.NotFound:
        return None


async def test_every_namespace_has_an_account_and_the_authority(served: Served, trusting: Api) -> None:
    api = trusting
    await api.namespaces.create(namespace("fresh"))
    for name in ("fresh", "kube-public"):
        await eventually(lambda name=name: there(lambda: api.serviceaccounts.get("default", namespace=name)))
        found = await eventually(
            lambda name=name: there(lambda: api.configmaps.get("kube-root-ca.crt", namespace=name))
        )
        assert found.data["ca.crt"] == served.ca.read_text()
    old = await api.serviceaccounts.delete("default", namespace="fresh")

    async def made_again() -> bool:
        found = await there(lambda: api.serviceaccounts.get("default", namespace="fresh"))
        return found is not None and found.metadata.uid != old.metadata.uid

    await eventually(made_again)
    await api.configmaps.patch("kube-root-ca.crt", b'{"data":{"ca.crt":"evil"}}', namespace="fresh")

    async def mended() -> bool:
        found = await api.configmaps.get("kube-root-ca.crt", namespace="fresh")
        return found.data["ca.crt"] == served.ca.read_text()

    await eventually(mended)
    await api.namespaces.delete("fresh")

    async def gone() -> bool:
        return await there(lambda: api.namespaces.get("fresh")) is None

    await eventually(gone)


async def test_tokens_to_join_with_are_thrown_away_when_they_expire(trusting: Api) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    await trusting.secrets.create(bootstrap_token(expiration=soon))

    async def gone() -> bool:
        return await there(lambda: trusting.secrets.get("bootstrap-token-abcdef", namespace="kube-system")) is None

    await eventually(gone)


async def signed(api: Api, name: str) -> bytes:
    async def certificate() -> bytes:
        return (await api.certificatesigningrequests.get(name)).status.certificate

    found: bytes = await eventually(certificate)
    return found


async def test_a_machine_that_joins_gets_a_certificate_of_its_own(served: Served, trusting: Api) -> None:
    await trusting.secrets.create(bootstrap_token())
    machine = served.without_certificate("abcdef.0123456789abcdef")
    client = certificate_request("n9", user="system:node:n9", organizations=(plan.NODES,), signer=plan.KUBELET_CLIENT)
    client.spec.expiration_seconds = 3600
    await machine.certificatesigningrequests.create(client)
    certificate = x509.load_pem_x509_certificate(await signed(machine, "n9"))
    certificate.verify_directly_issued_by(served.authority.certificate)
    assert certificate.not_valid_after_utc - datetime.now(UTC) <= timedelta(hours=1)
    # And then it renews it, and asks for one to serve with, as itself.
    n9 = served.as_user("system:node:n9", "system:nodes")
    node = Node()
    node.metadata.name = "n9"
    made = await n9.nodes.create(node)
    made.status.addresses.add(type="InternalIP", address="10.0.0.9")
    made.metadata.resource_version = ""  # the node controller writes it too
    await n9.nodes.update_status(made)
    client.metadata.name = "n9-again"
    await n9.certificatesigningrequests.create(client)
    assert await signed(n9, "n9-again")
    serving = certificate_request(
        "n9-serving",
        user="system:node:n9",
        organizations=(plan.NODES,),
        signer=plan.KUBELET_SERVING,
        usages=("server auth", "digital signature"),
        hosts=("n9",),
    )

    async def served_at() -> bool:
        return bool((await trusting.nodes.get("n9")).status.addresses)

    await eventually(served_at)
    await n9.certificatesigningrequests.create(serving)
    names = x509.load_pem_x509_certificate(await signed(n9, "n9-serving")).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["n9"]


async def test_what_no_rule_allows_waits_for_a_person_and_what_is_wrong_fails(trusting: Api) -> None:
    api = trusting
    await api.certificatesigningrequests.create(certificate_request("person", user="ann", signer=plan.API_CLIENT))
    wrong = certificate_request(
        "wrong", user="system:node:n1", organizations=("system:masters",), signer=plan.KUBELET_CLIENT
    )
    made = await api.certificatesigningrequests.create(wrong)
    await reviews.decide(api, made, "Approved", reason="Careless")

    async def failed() -> bool:
        found = await api.certificatesigningrequests.get("wrong")
        return any(condition.type == "Failed" for condition in found.status.conditions)

    await eventually(failed)
    assert not (await api.certificatesigningrequests.get("wrong")).status.certificate
    person = await api.certificatesigningrequests.get("person")
    assert not person.status.conditions
    await reviews.decide(api, person, "Approved", reason="Known")
    assert await signed(api, "person")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"groups": ("system:nodes", "x")}, "organization"),
        ({"user": "ann"}, "common name"),
        ({"hosts": ("h",)}, "names no hosts"),
        ({"others": True}, "more than hosts"),
    ],
)
def test_what_a_node_may_ask_for(changes: dict[str, Any], why: str) -> None:
    given: dict[str, Any] = {"user": "system:node:n1", "groups": ("system:nodes",), "hosts": (), "addresses": ()}
    asked = plan.Asked(**{"others": False, **given, **changes})
    refusal = plan.refusal(plan.KUBELET_CLIENT, asked, frozenset({"client auth"}), "system:node:n1")
    assert why in refusal
    assert bool(why) == bool(refusal)


async def test_sums_of_roles_show_what_they_come_to(trusting: Api) -> None:
    async def verbs_of(role: str, resource: str) -> set[str]:
        found = await trusting.clusterroles.get(role)
        return {verb for rule in found.rules if resource in rule.resources for verb in rule.verbs}

    async def complete() -> bool:
        return "create" in await verbs_of("admin", "roles") and "get" in await verbs_of("admin", "pods/log")

    await eventually(complete)
    gauges = cluster_role("gauges", "get", "gauges", group="example.org")
    gauges.metadata.labels["rbac.authorization.k8s.io/aggregate-to-view"] = "true"
    await trusting.clusterroles.create(gauges)
    await eventually(lambda: verbs_of("admin", "gauges"))
    await trusting.clusterroles.delete("gauges")

    async def gone() -> bool:
        return not await verbs_of("admin", "gauges")

    await eventually(gone)


@pytest.mark.parametrize(
    ("hosts", "addresses", "why"),
    [
        (("n1",), ("10.0.0.1",), ""),
        (("kubernetes.default.svc",), (), "not the node's name"),
        (("n1",), ("10.0.0.9",), "none of the node's addresses"),
        (("n1",), ("10.96.0.1",), "somebody else's"),
    ],
)
def test_where_a_node_may_serve(hosts: tuple[str, ...], addresses: tuple[str, ...], why: str) -> None:
    node = Node()
    node.metadata.name = "n1"
    # A node says of itself what it likes.
    for address in ("10.0.0.1", "10.96.0.1", "kubernetes.default.svc"):
        node.status.addresses.add(type="InternalIP", address=address)
    asked = plan.Asked("system:node:n1", ("system:nodes",), hosts, addresses, others=False)
    found = plan.serves_elsewhere(asked, node, frozenset({"10.96.0.1"}))
    assert why in found
    assert bool(why) == bool(found)
