"""What should not come, at both doors of a member: each gets its answer or a closed connection, and costs others
nothing. Requests that are merely wrong are in `tests/contract/store`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from etcd import rpc_pb2 as pb
from etcd.log_pb2 import MembershipChange
from etcd.peer_pb2 import Answer, Entries, Envelope, Envelopes, Hello, Question, SnapshotChunk, VoteRequest
from etcd.rpc_pb2 import Member
from steersman.service.tls import channel_credentials

from tests.store.client import Client, Refused
from tests.store.cluster import TestCluster, refuses
from tests.store.pki import Authority
from tests.store.running import StoreProcess
from tests.waiting import eventually

SERVICE = "/steersman.store.Peer"
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GARBAGE = {
    "a pickle": b"\x80\x04\x95garbage" * 200,
    "HTTP/1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a handshake that breaks off": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2 without its settings": HTTP2 + b"\xff" * 500,
    "a frame of sixteen mebibytes": HTTP2
    + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    "noise": random.Random(1).randbytes(5000),
    "nothing": b"",
}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[TestCluster]:
    """One member, which serves others too."""
    made = TestCluster(tmp_path, "a")
    try:
        made.start()
        await made.leader()
        yield made
        # Whatever came, the member still works and has not said that something broke.
        await made.client("a").put(b"still", b"here")
        assert "Traceback" not in made.members["a"].output()
    finally:
        await made.close()


@pytest.fixture
async def peer(cluster: TestCluster) -> AsyncIterator[Client]:
    """Somebody with the certificate of a member."""
    credentials = channel_credentials(
        cluster.peer_authority.certificate, *cluster.peer_authority.issue("somebody with a certificate")
    )
    made = Client(f"127.0.0.1:{cluster.peer_ports['a']}", credentials)
    try:
        yield made
    finally:
        await made.close()


async def says(port: int, data: bytes, tls: ssl.SSLContext | None = None) -> None:
    """Sends bytes and reads until the other side has closed, or has nothing to say for a moment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        with contextlib.suppress(ConnectionError, TimeoutError):
            writer.write(data)
            await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            while await asyncio.wait_for(reader.read(65536), 0.5):
                pass
    finally:
        writer.transport.abort()


async def test_garbage_on_either_port(cluster: TestCluster) -> None:
    client = cluster.client("a")
    watch = await client.watch(b"k")
    # Also from one who was let in.
    certificate, key = cluster.client_files
    tls = ssl.create_default_context(cafile=str(cluster.authority.certificate))
    tls.load_cert_chain(certificate, key)
    tls.set_alpn_protocols(["h2"])
    for kind, garbage in GARBAGE.items():
        for port in (cluster.members["a"].port, cluster.peer_ports["a"]):
            await asyncio.gather(*(says(port, garbage) for _ in range(3)))
        await says(cluster.members["a"].port, garbage, tls)
        await client.put(b"k", kind.encode())
        assert [event.kv.value for event in await watch.events(1)] == [kind.encode()]


async def test_garbage_on_a_port_without_encryption(tmp_path: Path) -> None:
    process = StoreProcess(tmp_path / "data").start()
    client = Client(process.target)
    try:
        await client.put(b"k")
        for kind, garbage in GARBAGE.items():
            await asyncio.gather(*(says(process.port, garbage) for _ in range(3)))
            await client.put(b"k", kind.encode())
        assert "Traceback" not in process.output()
    finally:
        await client.close()
        process.kill()


async def test_connections_that_say_nothing_cost_others_nothing(cluster: TestCluster) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for port in (cluster.members["a"].port, cluster.peer_ports["a"]):
            for _ in range(100):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                stack.callback(writer.close)
        for number in range(20):
            await cluster.client("a").put(b"k", b"%d" % number, timeout=5)


@pytest.mark.parametrize("megabytes", [2, 80])
async def test_a_request_over_the_limit_is_refused_before_it_is_kept(cluster: TestCluster, megabytes: int) -> None:
    with pytest.raises(Refused) as refused:
        await cluster.client("a").put(b"k", bytes(megabytes * 1_000_000))
    assert refused.value.code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert "too large" in refused.value.text or "larger than max" in refused.value.text
    assert await cluster.client("a").get(b"k") is None


async def test_messages_that_cannot_be_read(cluster: TestCluster, peer: Client) -> None:
    noise = b"\xff" * 40
    for client, methods in (
        (
            cluster.client("a"),
            [
                "/etcdserverpb.KV/Range",
                "/etcdserverpb.KV/Put",
                "/etcdserverpb.KV/DeleteRange",
                "/etcdserverpb.KV/Txn",
                "/etcdserverpb.KV/Compact",
                "/etcdserverpb.Lease/LeaseGrant",
                "/etcdserverpb.Lease/LeaseRevoke",
                "/etcdserverpb.Lease/LeaseTimeToLive",
                "/etcdserverpb.Cluster/MemberAdd",
                "/etcdserverpb.Cluster/MemberRemove",
                "/etcdserverpb.Maintenance/Alarm",
                "/etcdserverpb.Maintenance/HashKV",
                "/etcdserverpb.Maintenance/MoveLeader",
            ],
        ),
        (peer, [f"{SERVICE}/Ask", f"{SERVICE}/Identify"]),
    ):
        for method in methods:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await client.channel.unary_unary(method)(noise, timeout=5)
            assert refused.value.code() == grpc.StatusCode.INTERNAL, method
    for client, methods in (
        (cluster.client("a"), ["/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseKeepAlive"]),
        (peer, [f"{SERVICE}/Messages"]),
    ):
        for method in methods:
            call = client.channel.stream_stream(method)()
            await call.write(noise)
            assert await asyncio.wait_for(call.code(), 5) == grpc.StatusCode.INTERNAL, method


async def test_a_member_of_another_cluster_is_not_listened_to(cluster: TestCluster, peer: Client) -> None:
    status = await cluster.client("a").status()
    mine, me = status.header.cluster_id, status.header.member_id

    async def ended(method: str, message: Any) -> tuple[grpc.StatusCode, str]:
        call = peer.channel.stream_stream(
            f"{SERVICE}/{method}", request_serializer=lambda message: message.SerializeToString()
        )()
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await call.write(message)
            await call.done_writing()
        return await asyncio.wait_for(call.code(), 5), await call.details()

    mismatch = (grpc.StatusCode.FAILED_PRECONDITION, "etcdserver: cluster ID mismatch")
    for hello in (
        Hello(cluster_id=mine + 1, sender=2, destination=me),
        Hello(cluster_id=mine, sender=2, destination=9),
    ):
        assert await ended("Messages", Envelopes(hello=hello)) == mismatch
        assert await ended("InstallSnapshot", SnapshotChunk(hello=hello, term=99, data=b"x")) == mismatch
    removal = MembershipChange(kind=MembershipChange.REMOVE, member=Member(ID=me))
    for question in (Question(membership=removal), Question(read_index=True)):
        question.cluster_id = mine + 1
        ask = peer.channel.unary_unary(f"{SERVICE}/Ask", response_deserializer=Answer.FromString)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask(question.SerializeToString(), timeout=5)
        assert (refused.value.code(), refused.value.details()) == mismatch
    assert len((await cluster.client("a").members()).members) == 1


async def test_a_stranger_who_knows_the_clusters_number_changes_nothing(cluster: TestCluster, peer: Client) -> None:
    """It has a member's certificate, and says what no member would."""
    await cluster.client("a").put(b"k", b"1")
    before = await cluster.client("a").status()
    mine, me = before.header.cluster_id, before.header.member_id
    call = peer.channel.stream_stream(
        f"{SERVICE}/Messages", request_serializer=lambda message: message.SerializeToString()
    )()
    await call.write(Envelopes(hello=Hello(cluster_id=mine, sender=77, destination=me)))
    await asyncio.wait_for(call.read(), 5)
    evil = Envelope(cluster_id=mine, sender=77, destination=me, term=before.raftTerm + 5)
    evil.vote_request.CopyFrom(VoteRequest(term=before.raftTerm + 5, last_index=10**9, last_term=10**9))
    forged = Envelope(cluster_id=mine, sender=me, destination=me, term=before.raftTerm)
    forged.entries.CopyFrom(Entries(term=before.raftTerm, commit=10**9, previous_index=1))
    await call.write(Envelopes(envelopes=[evil, forged]))
    for _ in range(20):
        await cluster.client("a").put(b"k", b"2")
    after = await cluster.client("a").status()
    assert (after.raftTerm, after.leader) == (before.raftTerm, me)
    call.cancel()


async def test_a_newer_stream_of_a_member_ends_the_older(cluster: TestCluster, peer: Client) -> None:
    """What the older one still carries would come late, or twice."""
    header = (await cluster.client("a").status()).header
    hello = Envelopes(hello=Hello(cluster_id=header.cluster_id, sender=77, destination=header.member_id))
    calls = []
    for _ in range(2):
        call = peer.channel.stream_stream(
            f"{SERVICE}/Messages", request_serializer=lambda message: message.SerializeToString()
        )()
        await call.write(hello)
        await asyncio.wait_for(call.read(), 5)
        calls.append(call)
    older, newer = calls
    await older.write(Envelopes())
    assert await asyncio.wait_for(older.code(), 5) == grpc.StatusCode.OK
    await newer.write(Envelopes())
    assert not newer.done()
    newer.cancel()


@pytest.mark.parametrize("door", ["client", "peer"])
async def test_certificates_that_are_not_valid(cluster: TestCluster, tmp_path: Path, door: str) -> None:
    authority = cluster.authority if door == "client" else cluster.peer_authority
    port = cluster.members["a"].port if door == "client" else cluster.peer_ports["a"]
    foreign = Authority(tmp_path / "foreign")
    for credentials in (
        None,
        channel_credentials(authority.certificate),
        channel_credentials(authority.certificate, *foreign.issue("client")),
        channel_credentials(authority.certificate, *authority.issue("expired", days=-5)),
    ):
        client = Client(f"127.0.0.1:{port}", credentials)
        assert await refuses(client) == grpc.StatusCode.UNAVAILABLE
        await client.close()


async def test_a_member_with_an_expired_certificate_is_no_member(tmp_path: Path) -> None:
    """The other two go on; it takes no part, and with a new certificate it does again."""
    cluster = TestCluster(tmp_path)
    late = cluster.members["c"]
    place = late.flags.index("--peer-cert-file")
    good = late.flags
    expired = [str(path) for path in cluster.peer_authority.issue("late", days=-5)]
    late.flags = (*good[: place + 1], expired[0], good[place + 2], expired[1], *good[place + 4 :])
    try:
        cluster.start()

        async def written() -> bool:
            try:
                await cluster.client("a").put(b"k", os.urandom(3), timeout=3)
            except Refused:
                return False
            return True

        await eventually(written, 20)
        with pytest.raises(Refused):
            await cluster.client("c").call("KV", "Put", pb.PutRequest(key=b"c"), 1)

        async def led() -> bool:
            first, second, third = [(await cluster.client(name).status()).leader for name in "abc"]
            return first == second != 0 == third

        await eventually(led, 20)
        late.kill()
        late.flags = good
        late.start()
        await cluster.leader()
        await cluster.client("c").put(b"k", b"again")
    finally:
        await cluster.close()
