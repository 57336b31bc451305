"""What every service of the house answers, and what tells how a member is."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.store.client import Client
from tests.waiting import eventually


async def test_status(client: Client) -> None:
    await client.put(b"a", b"1")
    status = await client.status()
    assert status.leader == status.header.member_id
    assert status.raftIndex >= status.raftAppliedIndex > 0
    assert status.dbSizeInUse > 0
    assert status.version.startswith("3.5.")


async def test_members(client: Client) -> None:
    (member,) = (await client.members()).members
    assert member.peerURLs == ["http://127.0.0.1:2380"]


async def test_health(client: Client) -> None:
    check = client.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    await check(health_pb2.HealthCheckRequest(), timeout=5)


async def test_reflection_names_the_services(client: Client) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)
    call = stub.ServerReflectionInfo(timeout=5)
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    names = {service.name for service in (await call.read()).list_services_response.service}
    await call.done_writing()
    assert {f"etcdserverpb.{name}" for name in ("KV", "Watch", "Lease", "Cluster", "Maintenance")} <= names


async def test_an_unknown_method_is_not_implemented(client: Client) -> None:
    call = client.channel.unary_unary("/etcdserverpb.Auth/AuthEnable")

    async def refused() -> bool:
        try:
            await call(b"", timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code() == grpc.StatusCode.UNIMPLEMENTED
        return False

    await eventually(refused)
