"""Every link is mutual TLS, and who somebody is decides what they may do."""

from __future__ import annotations

import stat
from datetime import UTC, datetime

import pytest
from steersman import errors
from steersman.client import Api, connect, connect_to
from steersman.config import Context
from steersman.core.v1 import Node, Pod
from steersman.pki import Authority

from lab.certificates import admin_context
from tests.e2e.world import World

pytestmark = [pytest.mark.root, pytest.mark.e2e]


def socket_context(cluster: World, name: str) -> Context:
    """A component's identity, through the admin's door."""
    lab = cluster.lab
    return Context(
        name="component",
        server=f"unix:{lab.apiserver_socket}",
        server_name="apiserver",
        authority=lab.pki / "ca.crt",
        certificate=lab.pki / f"{name}.crt",
        key=lab.pki / f"{name}.key",
    )


def impatient(api: Api) -> Api:
    api.patient = False
    return api


def test_keys_and_the_admins_configuration_are_private(cluster: World) -> None:
    keys = sorted(cluster.lab.pki.glob("*.key"))
    assert len(keys) >= 12
    for path in [*keys, cluster.config, *cluster.lab.pki.glob("*.config")]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(cluster.lab.pki.stat().st_mode) == 0o700


async def test_a_client_without_a_certificate_is_unauthenticated(cluster: World) -> None:
    full = admin_context(cluster.lab)
    bare = Context("bare", full.server, server_name="apiserver", authority=full.authority)
    async with impatient(connect_to(bare)) as api:
        with pytest.raises(errors.Unauthenticated, match="client certificate is required"):
            await api.pods.list()
        with pytest.raises(errors.Unauthenticated):
            async for _ in api.pods.watch():
                pass


async def test_a_forged_token_is_unauthenticated(cluster: World) -> None:
    full = admin_context(cluster.lab)
    forged = Context(
        "forged",
        full.server,
        server_name="apiserver",
        authority=full.authority,
        token="x",
    )
    async with impatient(connect_to(forged)) as api:
        with pytest.raises(errors.Unauthenticated, match="not accepted"):
            await api.pods.list()


async def test_a_certificate_of_another_authority_does_not_connect(cluster: World) -> None:
    now = datetime.now(UTC)
    certificate, key = Authority.create("another", now=now).issue(
        "kubernetes-admin", groups=["system:masters"], now=now
    )
    full = admin_context(cluster.lab)
    stranger = Context("stranger", full.server, "apiserver", full.authority, certificate, key)
    async with impatient(connect_to(stranger)) as api:
        with pytest.raises(errors.Unavailable):
            await api.pods.list()


async def test_a_node_reads_and_writes_only_what_is_its_own(cluster: World) -> None:
    async with connect(cluster.config) as api:
        other = await api.nodes.get("n2")
        elsewhere = next(pod for pod in await api.pods.list() if pod.spec.node_name not in ("", "n1"))
    async with impatient(connect_to(socket_context(cluster, "n1"))) as n1:
        assert (await n1.nodes.get("n1")).metadata.name == "n1"
        name, namespace = elsewhere.metadata.name, elsewhere.metadata.namespace
        for forbidden in (
            n1.nodes.get("n2"),
            n1.nodes.update_status(other),
            n1.pods.list(),
            n1.pods.get(name, namespace=namespace),
            n1.secrets.list(),
            n1.configmaps.list(namespace=namespace),
            n1.deployments.list(),
        ):
            with pytest.raises(errors.Forbidden):
                await forbidden
        with pytest.raises(errors.Forbidden, match="not bound to this node"):
            await n1.pods.update_status(elsewhere)
        with pytest.raises(errors.Forbidden, match="not bound to this node"):
            await n1.pods.delete(name, namespace=namespace)


async def test_the_scheduler_may_bind_and_not_create(cluster: World) -> None:
    async with impatient(connect_to(socket_context(cluster, "scheduler"))) as scheduler:
        pod = Pod()
        pod.metadata.name = "own"
        with pytest.raises(errors.Forbidden, match="system:kube-scheduler"):
            await scheduler.pods.create(pod)
        node = Node()
        node.metadata.name = "own"
        with pytest.raises(errors.Forbidden):
            await scheduler.nodes.create(node)


async def test_components_are_who_their_certificates_say(cluster: World) -> None:
    from steersman.service.tls import identity_of_certificate

    def of(name: str) -> tuple[str, tuple[str, ...]]:
        identity = identity_of_certificate((cluster.lab.pki / f"{name}.crt").read_bytes())
        return identity.user, identity.groups

    assert of("n2") == ("system:node:n2", ("system:nodes",))
    assert of("scheduler") == ("system:kube-scheduler", ())
    assert of("controllers") == ("system:kube-controller-manager", ())
    assert of("admin") == ("kubernetes-admin", ("system:masters",))


async def test_the_sdk_reads_the_admins_configuration(cluster: World) -> None:
    async with connect(cluster.config) as api:
        assert {node.metadata.name for node in await api.nodes.list()} == {"n1", "n2", "n3"}


def test_only_the_apiserver_may_speak_to_a_nodes_agent(cluster: World) -> None:
    script = f"""
import asyncio, grpc
from pathlib import Path
from steersman.core.v1 import PodLogsRequest
pki = Path({str(cluster.lab.pki)!r})
async def main():
    for name in ("apiserver", "scheduler"):
        credentials = grpc.ssl_channel_credentials(
            (pki / "ca.crt").read_bytes(), (pki / f"{{name}}.key").read_bytes(), (pki / f"{{name}}.crt").read_bytes()
        )
        async with grpc.aio.secure_channel("{cluster.lab.nodes[0].address}:10250", credentials) as channel:
            call = channel.unary_stream("/steersman.nodeagent.v1.Streams/Logs")(
                PodLogsRequest(namespace="default", name="nobody").SerializeToString()
            )
            try:
                async for _ in call:
                    pass
            except grpc.aio.AioRpcError as error:
                print(name, error.code().name)
asyncio.run(main())
"""
    import sys

    done = cluster.inside(cluster.lab.control, sys.executable, "-c", script)
    assert done.out.split("\n")[:2] == ["apiserver NOT_FOUND", "scheduler PERMISSION_DENIED"], done.err
