"""The quota: full means read and delete only, and room means that writing goes on by itself."""

from __future__ import annotations

import pytest
from etcd import rpc_pb2 as pb

from tests.store.client import Client, Refused, delete_op, get_op, put_op
from tests.waiting import eventually

QUOTA = 300_000


@pytest.fixture
def quota() -> int:
    return QUOTA


async def test_a_full_store_reads_deletes_and_recovers(client: Client) -> None:
    written = 0
    with pytest.raises(Refused, match="etcdserver: mvcc: database space exceeded") as refused:
        for written in range(1000):
            await client.put(b"k%d" % written, b"x" * 10_000)
    assert refused.value.code.name == "RESOURCE_EXHAUSTED"
    assert 20 < written < 30
    (alarm,) = (await client.call("Maintenance", "Alarm", pb.AlarmRequest())).alarms
    assert alarm.alarm == pb.NOSPACE
    assert "alarm:NOSPACE" in (await client.status()).errors[0]
    with pytest.raises(Refused, match="space exceeded"):
        await client.put(b"small", b"")
    with pytest.raises(Refused, match="space exceeded"):
        await client.txn([], [put_op(b"small")])
    with pytest.raises(Refused, match="space exceeded"):
        await client.grant(60)
    assert (await client.range(b"k", b"l", count_only=True)).count == written
    assert (await client.txn([], [get_op(b"k0"), delete_op(b"k0")])).succeeded
    deleted = await client.delete(b"k", b"l")
    assert deleted.deleted == written - 1
    await client.compact(deleted.header.revision)

    async def recovered() -> bool:
        try:
            await client.put(b"small", b"")
        except Refused:
            return False
        return True

    await eventually(recovered)
    assert not (await client.call("Maintenance", "Alarm", pb.AlarmRequest())).alarms
