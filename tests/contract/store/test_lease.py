"""Leases: keys that go when their time is up."""

from __future__ import annotations

import pytest
from etcd.kv_pb2 import Event

from tests.store.client import Client, Refused
from tests.waiting import eventually


async def test_revoking_deletes_the_keys_at_one_revision(client: Client) -> None:
    lease = (await client.grant(60)).ID
    await client.put(b"a", b"1", lease=lease)
    await client.put(b"b", b"1", lease=lease)
    await client.put(b"c", b"1")
    watch = await client.watch(b"a", b"z")
    await client.revoke(lease)
    response = await watch.read()
    assert [(event.type, event.kv.key) for event in response.events] == [(Event.DELETE, b"a"), (Event.DELETE, b"b")]
    assert (await client.range(b"a", b"z")).count == 1


async def test_a_key_leaves_its_lease_when_it_is_written_again(client: Client) -> None:
    lease = (await client.grant(60)).ID
    await client.put(b"a", b"1", lease=lease)
    await client.put(b"a", b"2")
    await client.revoke(lease)
    assert await client.get(b"a") == b"2"


async def test_expiry(client: Client) -> None:
    granted = await client.grant(1)
    assert granted.TTL == 2
    await client.put(b"a", b"1", lease=granted.ID)
    watch = await client.watch(b"a")
    (event,) = await watch.events(1)
    assert (event.type, event.kv.key) == (Event.DELETE, b"a")
    assert (await client.time_to_live(granted.ID)).TTL == -1
    assert not (await client.leases()).leases


async def test_keep_alive_gives_the_whole_time_again(client: Client) -> None:
    lease = (await client.grant(100)).ID
    response = await client.keep_alive(lease)
    assert (lease, 100) == (response.ID, response.TTL)
    assert (await client.keep_alive(12345)).TTL == 0


async def test_time_to_live(client: Client) -> None:
    lease = (await client.grant(100)).ID
    await client.put(b"b", b"1", lease=lease)
    await client.put(b"a", b"1", lease=lease)
    answer = await client.time_to_live(lease, keys=True)
    assert answer.grantedTTL == 100 and 97 <= answer.TTL <= 100
    assert list(answer.keys) == [b"a", b"b"]
    unknown = await client.time_to_live(4711)
    assert (unknown.TTL, unknown.grantedTTL) == (-1, 0)


async def test_listing_and_numbers(client: Client) -> None:
    await client.grant(60, 5)
    await client.grant(60, 3)
    assert [lease.ID for lease in (await client.leases()).leases] == [3, 5]
    with pytest.raises(Refused, match="etcdserver: lease already exists"):
        await client.grant(60, 5)
    with pytest.raises(Refused, match="etcdserver: requested lease not found"):
        await client.revoke(99)
    with pytest.raises(Refused, match="etcdserver: too large lease TTL"):
        await client.grant(9_000_000_001)


async def test_an_expired_lease_cannot_be_written_to(client: Client) -> None:
    lease = (await client.grant(1)).ID

    async def gone() -> bool:
        return not (await client.leases()).leases

    await eventually(gone)
    with pytest.raises(Refused, match="requested lease not found"):
        await client.put(b"a", lease=lease)
