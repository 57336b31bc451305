"""Three members in processes of their own: agreement, failover, membership, catching up, who may speak."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from etcd import rpc_pb2 as pb
from etcd.peer_pb2 import Envelopes, Hello
from steersman.service.tls import channel_credentials

from tests.store.client import Client, Refused
from tests.store.cluster import TestCluster, refuses
from tests.store.pki import Authority
from tests.store.running import free_port
from tests.waiting import eventually


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[TestCluster]:
    made = TestCluster(tmp_path)
    try:
        made.start()
        await made.leader()
        yield made
    finally:
        await made.close()


async def test_every_member_reads_what_any_member_wrote(cluster: TestCluster) -> None:
    for number in range(5):
        for name in "abc":
            await cluster.client(name).put(b"k", f"{number}{name}".encode())
            for other in "abc":
                assert await cluster.client(other).get(b"k") == f"{number}{name}".encode()
    hashes = {(await cluster.client(name).call("Maintenance", "HashKV", pb.HashKVRequest())).hash for name in "abc"}
    assert len(hashes) == 1


async def test_the_cluster_goes_on_without_its_leader(cluster: TestCluster) -> None:
    lost = await cluster.leader()
    client = cluster.client(next(name for name in "abc" if name != lost))
    lease = (await client.grant(60)).ID
    await client.put(b"before", b"1", lease=lease)
    watch = await client.watch(b"", b"\0")
    cluster.members[lost].kill()

    async def written() -> bool:
        try:
            await client.put(b"after", b"1", timeout=3)
        except Refused:
            return False
        return True

    await eventually(written, 15)
    assert await client.get(b"before") == b"1"
    assert (await watch.events(1))[0].kv.key == b"after"
    assert 50 < (await client.time_to_live(lease)).TTL <= 60
    assert (await client.keep_alive(lease)).TTL == 60
    cluster.start(lost)
    await cluster.leader()
    assert await cluster.client(lost).get(b"after") == b"1"


async def test_all_killed_at_once_lose_nothing(cluster: TestCluster) -> None:
    acknowledged = []

    async def write(name: str, number: int) -> None:
        try:
            await cluster.client(name).put(f"k{number}".encode(), b"1", timeout=3, patient=False)
            acknowledged.append(number)
        except Refused:
            return

    writers = [asyncio.create_task(write("abc"[number % 3], number)) for number in range(600)]
    await eventually(lambda: len(acknowledged) > 100, 20)
    for process in cluster.members.values():
        process.kill()
    await asyncio.gather(*writers)
    cluster.start()
    await cluster.leader()
    found = {kv.key for kv in (await cluster.client("a").range(b"k", b"l", keys_only=True)).kvs}
    assert {f"k{number}".encode() for number in acknowledged} <= found


async def test_without_a_majority_nothing_is_acknowledged(cluster: TestCluster) -> None:
    leader = await cluster.leader()
    others = [name for name in "abc" if name != leader]
    for name in others:
        cluster.members[name].signal(signal.SIGSTOP)
    try:
        client = cluster.client(leader)
        with pytest.raises(Refused):
            await client.put(b"a", b"1", timeout=2)
        with pytest.raises(Refused):
            await client.call("KV", "Range", pb.RangeRequest(key=b"a"), 2)
        assert (await client.range(b"a", serializable=True)).count == 0
    finally:
        for name in others:
            cluster.members[name].signal(signal.SIGCONT)

    async def written() -> bool:
        try:
            await cluster.client(leader).put(b"b", b"1", timeout=3)
        except Refused:
            return False
        return True

    await eventually(written, 20)


async def test_leadership_moves_on_request_and_on_stop(cluster: TestCluster) -> None:
    leader = await cluster.leader()
    target = next(name for name in "abc" if name != leader)
    ids = await cluster.ids()
    with pytest.raises(Refused, match="etcdserver: not leader"):
        await cluster.client(target).call("Maintenance", "MoveLeader", pb.MoveLeaderRequest(targetID=ids[target]))
    with pytest.raises(Refused, match="etcdserver: bad leader transferee"):
        await cluster.client(leader).call("Maintenance", "MoveLeader", pb.MoveLeaderRequest(targetID=12345))
    await cluster.client(leader).call("Maintenance", "MoveLeader", pb.MoveLeaderRequest(targetID=ids[target]))
    assert await cluster.leader() == target
    term = (await cluster.client(target).status()).raftTerm
    assert cluster.members[target].stop() == 0
    await cluster.leader()
    survivor = next(name for name in "abc" if name != target)
    # Handed over, not fallen over: one term more.
    assert (await cluster.client(survivor).status()).raftTerm == term + 1


async def test_a_member_is_added_as_learner_promoted_and_removed(cluster: TestCluster) -> None:
    client = cluster.client("a")
    for number in range(50):
        await client.put(b"k%d" % number, b"1")
    cluster.peer_ports["d"] = cluster.peer_ports["a"]
    with pytest.raises(Refused, match="etcdserver: Peer URLs already exists"):
        await client.call("Cluster", "MemberAdd", pb.MemberAddRequest(peerURLs=[cluster.peer_url("d")]))
    cluster.peer_ports["d"] = free_port()
    added = await client.call(
        "Cluster", "MemberAdd", pb.MemberAddRequest(peerURLs=[cluster.peer_url("d")], isLearner=True)
    )
    assert added.member.isLearner and len(added.members) == 4
    with pytest.raises(Refused, match="etcdserver: can only promote a learner member which is in sync with leader"):
        await client.call("Cluster", "MemberPromote", pb.MemberPromoteRequest(ID=added.member.ID))
    cluster.joining("d", "abc").start()
    learner = cluster.client("d")

    async def caught_up() -> bool:
        try:
            return (await learner.range(b"k", b"l", serializable=True)).count == 50
        except Refused:
            return False

    await eventually(caught_up, 20)
    with pytest.raises(Refused, match="etcdserver: rpc not supported for learner"):
        await learner.put(b"x")
    await client.call("Cluster", "MemberPromote", pb.MemberPromoteRequest(ID=added.member.ID))

    async def votes() -> bool:
        try:
            await learner.put(b"x", b"1")
        except Refused:
            return False
        return True

    await eventually(votes, 10)
    leader = await cluster.leader()
    ids = await cluster.ids()
    # Also the leader can be removed: it hands over first.
    await cluster.client("d").call("Cluster", "MemberRemove", pb.MemberRemoveRequest(ID=ids[leader]))
    assert cluster.members[leader].wait(20) == 0
    assert "removed from the cluster" in cluster.members[leader].output()
    rest = next(name for name in "abcd" if name != leader)
    assert len((await cluster.client(rest).members()).members) == 3
    with pytest.raises(Refused, match="etcdserver: member not found"):
        await cluster.client(rest).call("Cluster", "MemberRemove", pb.MemberRemoveRequest(ID=ids[leader]))


async def test_who_is_a_member_is_read_from_the_log_and_not_from_flags(cluster: TestCluster) -> None:
    ids = await cluster.ids()
    leader = await cluster.leader()
    gone = next(name for name in "abc" if name != leader)
    await cluster.client(leader).call("Cluster", "MemberRemove", pb.MemberRemoveRequest(ID=ids[gone]))
    assert cluster.members[gone].wait(20) == 0
    rest = [name for name in "abc" if name != gone]
    for with_snapshot in (False, True):
        for name in rest:
            if with_snapshot:
                await cluster.client(name).call("Maintenance", "Defragment", pb.DefragmentRequest())
            cluster.members[name].kill()
        # Their --initial-cluster still names three.
        cluster.start(*rest)
        await cluster.leader()
        for name in rest:
            members = (await cluster.client(name).members()).members
            assert {member.ID for member in members} == {ids[name] for name in rest}
    # Whoever was removed is told so, and does not come back.
    cluster.start(gone)
    assert cluster.members[gone].wait(20) == 0
    await cluster.client(leader).put(b"k", b"1")


async def test_a_member_that_lacks_the_log_catches_up_by_snapshot(tmp_path: Path) -> None:
    cluster = TestCluster(tmp_path, flags=("--snapshot-catchup-entries", "10"))
    try:
        cluster.start()
        await catches_up(cluster)
    finally:
        await cluster.close()


async def catches_up(cluster: TestCluster) -> None:
    leader = await cluster.leader()
    behind = next(name for name in "abc" if name != leader)
    watch = await cluster.client(behind).watch(b"k", b"l")
    await cluster.client(leader).put(b"k", b"first")
    assert [event.kv.value for event in await watch.events(1)] == [b"first"]
    cluster.members[behind].kill()
    writers = [cluster.client(leader).put(b"k%d" % (number % 10), b"%d" % number) for number in range(6000)]
    await asyncio.gather(*writers)
    last = (await cluster.client(leader).range(b"k")).header.revision
    for name in "abc":
        if name != behind:
            await cluster.client(name).call("Maintenance", "Defragment", pb.DefragmentRequest())
    cluster.start(behind)
    client = cluster.client(behind)

    async def caught_up() -> bool:
        try:
            return (await client.range(b"k", serializable=True)).header.revision >= last
        except Refused:
            return False

    await eventually(caught_up, 20)
    assert "snapshot was installed" in cluster.members[behind].output()
    watch = await client.watch(b"k", b"l", start_revision=3)
    revisions = [event.kv.mod_revision for event in await watch.events(6000)]
    assert revisions == list(range(last - 5999, last + 1))
    hashes = {(await cluster.client(name).call("Maintenance", "HashKV", pb.HashKVRequest())).hash for name in "abc"}
    assert len(hashes) == 1


async def test_strangers_are_turned_away(cluster: TestCluster, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger")
    target = cluster.members["a"].target
    expired = cluster.authority.issue("expired", days=-5)
    for credentials in (
        None,
        channel_credentials(cluster.authority.certificate),
        channel_credentials(cluster.authority.certificate, *stranger.issue("client")),
        channel_credentials(cluster.authority.certificate, *expired),
    ):
        client = Client(target, credentials)
        assert await refuses(client) == grpc.StatusCode.UNAVAILABLE
        await client.close()
    peer = Client(
        f"127.0.0.1:{cluster.peer_ports['a']}",
        channel_credentials(cluster.peer_authority.certificate, *cluster.peer_authority.issue("other")),
    )
    call = peer.channel.stream_stream(
        "/steersman.store.Peer/Messages", request_serializer=lambda m: m.SerializeToString()
    )()
    await call.write(Envelopes(hello=Hello(cluster_id=1, sender=2, destination=3)))
    assert await call.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert await call.details() == "etcdserver: cluster ID mismatch"
    await peer.close()
    # A client's certificate opens no peer port.
    wrong = Client(
        f"127.0.0.1:{cluster.peer_ports['a']}",
        channel_credentials(cluster.peer_authority.certificate, *cluster.client_files),
    )
    assert await refuses(wrong) == grpc.StatusCode.UNAVAILABLE
    await wrong.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster.peer_ports["a"])
    writer.write(b"\x80\x04\x95garbage" * 100)
    await writer.drain()
    await reader.read(1000)
    writer.close()
    await cluster.client("b").put(b"still", b"here")
