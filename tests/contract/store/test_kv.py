"""Keys: reading, writing, deleting, transactions, compaction."""

from __future__ import annotations

import asyncio
import itertools

import grpc
import pytest
from etcd import rpc_pb2 as pb

from tests.store.client import Client, Refused, compare, delete_op, get_op, put_op, txn_op

R = pb.RangeRequest


async def test_a_key_carries_its_revisions_and_version(client: Client) -> None:
    first = await client.put(b"a", b"1")
    second = await client.put(b"a", b"2", prev_kv=True)
    assert second.header.revision == first.header.revision + 1
    assert second.prev_kv.value == b"1"
    (kv,) = (await client.range(b"a")).kvs
    assert (kv.value, kv.version) == (b"2", 2)
    assert (kv.create_revision, kv.mod_revision) == (first.header.revision, second.header.revision)


async def test_a_deleted_key_begins_a_new_life(client: Client) -> None:
    await client.put(b"a", b"1")
    deleted = await client.delete(b"a", prev_kv=True)
    assert deleted.deleted == 1 and deleted.prev_kvs[0].value == b"1"
    again = await client.put(b"a", b"2", prev_kv=True)
    assert not again.HasField("prev_kv")
    (kv,) = (await client.range(b"a")).kvs
    assert (kv.version, kv.create_revision) == (1, again.header.revision)


async def test_deleting_nothing_makes_no_revision(client: Client) -> None:
    before = await client.put(b"a")
    gone = await client.delete(b"missing")
    assert (gone.deleted, gone.header.revision) == (0, before.header.revision)


async def test_ranges(client: Client) -> None:
    for name in (b"a", b"b", b"b1", b"b2", b"c"):
        await client.put(name, name)

    async def keys(key: bytes, end: bytes, **options: object) -> list[bytes]:
        return [kv.key for kv in (await client.range(key, end, **options)).kvs]

    assert await keys(b"a", b"c") == [b"a", b"b", b"b1", b"b2"]
    assert await keys(b"b", b"c") == [b"b", b"b1", b"b2"]
    assert await keys(b"b1", b"\0") == [b"b1", b"b2", b"c"]
    assert await keys(b"\0", b"\0") == [b"a", b"b", b"b1", b"b2", b"c"]
    assert await keys(b"c", b"a") == []
    assert await keys(b"\0", b"\0", serializable=True) == [b"a", b"b", b"b1", b"b2", b"c"]


async def test_limit_says_more_and_counts_all(client: Client) -> None:
    for number in range(5):
        await client.put(b"k%d" % number)
    response = await client.range(b"k", b"l", limit=2)
    assert ([kv.key for kv in response.kvs], response.more, response.count) == ([b"k0", b"k1"], True, 5)
    response = await client.range(b"k", b"l", limit=5)
    assert (len(response.kvs), response.more) == (5, False)
    counted = await client.range(b"k", b"l", count_only=True)
    assert (counted.count, len(counted.kvs)) == (5, 0)


async def test_keys_only_leaves_the_value_out(client: Client) -> None:
    await client.put(b"a", b"long value")
    (kv,) = (await client.range(b"a", keys_only=True)).kvs
    assert (kv.key, kv.value, kv.version) == (b"a", b"", 1)


@pytest.mark.parametrize(
    ("target", "order", "expected"),
    [
        (R.KEY, R.DESCEND, [b"c", b"b", b"a"]),
        (R.VERSION, R.NONE, [b"b", b"c", b"a"]),
        (R.CREATE, R.ASCEND, [b"b", b"a", b"c"]),
        (R.MOD, R.DESCEND, [b"a", b"c", b"b"]),
        (R.VALUE, R.ASCEND, [b"a", b"b", b"c"]),
    ],
)
async def test_sorting(client: Client, target: int, order: int, expected: list[bytes]) -> None:
    await client.put(b"b", b"2")
    await client.put(b"a", b"9")
    await client.put(b"c", b"9")
    await client.put(b"c", b"3")
    await client.put(b"a", b"8")
    await client.put(b"a", b"1")
    response = await client.range(b"a", b"d", sort_target=target, sort_order=order)
    assert [kv.key for kv in response.kvs] == expected
    limited = await client.range(b"a", b"d", sort_target=target, sort_order=order, limit=1)
    assert ([kv.key for kv in limited.kvs], limited.more) == (expected[:1], True)


async def test_revision_filters(client: Client) -> None:
    first = (await client.put(b"a")).header.revision
    await client.put(b"b")
    await client.put(b"a")
    response = await client.range(b"a", b"c", min_mod_revision=first + 2)
    assert [kv.key for kv in response.kvs] == [b"a"]
    response = await client.range(b"a", b"c", max_create_revision=first)
    assert [kv.key for kv in response.kvs] == [b"a"]
    response = await client.range(b"a", b"c", max_mod_revision=first + 1)
    assert [kv.key for kv in response.kvs] == [b"b"]
    response = await client.range(b"a", b"c", min_create_revision=first + 1)
    assert [kv.key for kv in response.kvs] == [b"b"]


async def test_the_past_can_be_read(client: Client) -> None:
    first = (await client.put(b"a", b"1")).header.revision
    await client.put(b"b", b"1")
    await client.put(b"a", b"2")
    await client.delete(b"b")
    assert await client.get(b"a", revision=first) == b"1"
    assert [kv.key for kv in (await client.range(b"a", b"c", revision=first + 1)).kvs] == [b"a", b"b"]
    assert [kv.key for kv in (await client.range(b"a", b"c", revision=first + 3)).kvs] == [b"a"]
    assert (await client.range(b"a", b"c", revision=first + 1, count_only=True)).count == 2


async def test_the_future_cannot_be_read(client: Client) -> None:
    with pytest.raises(Refused) as refused:
        await client.range(b"a", revision=100)
    assert refused.value.code == grpc.StatusCode.OUT_OF_RANGE
    assert refused.value.text == "etcdserver: mvcc: required revision is a future revision"


async def test_compaction_forgets_what_was_superseded(client: Client) -> None:
    first = (await client.put(b"a", b"1")).header.revision
    await client.put(b"a", b"2")
    await client.put(b"gone", b"x")
    await client.delete(b"gone")
    last = (await client.put(b"a", b"3")).header.revision
    await client.compact(last - 1, physical=True)
    with pytest.raises(Refused, match="etcdserver: mvcc: required revision has been compacted"):
        await client.range(b"a", revision=first)
    assert await client.get(b"a", revision=last - 1) == b"2"
    assert await client.get(b"a") == b"3"
    with pytest.raises(Refused, match="has been compacted"):
        await client.compact(last - 1)
    with pytest.raises(Refused, match="future revision"):
        await client.compact(last + 1)


async def test_compaction_frees_memory(client: Client) -> None:
    for number in range(200):
        await client.put(b"a", b"%d" % number * 100)
    full = (await client.status()).dbSizeInUse
    last = (await client.range(b"a")).header.revision
    await client.compact(last, physical=True)
    assert (await client.status()).dbSizeInUse < full / 50


async def test_put_can_keep_value_or_lease(client: Client) -> None:
    lease = (await client.grant(60)).ID
    await client.put(b"a", b"1", lease=lease)
    await client.put(b"a", b"2", ignore_lease=True)
    (kv,) = (await client.range(b"a")).kvs
    assert (kv.value, kv.lease) == (b"2", lease)
    await client.put(b"a", ignore_value=True)
    (kv,) = (await client.range(b"a")).kvs
    assert (kv.value, kv.lease) == (b"2", 0)


@pytest.mark.parametrize(
    ("method", "request_", "code", "text"),
    [
        ("Put", pb.PutRequest(), "INVALID_ARGUMENT", "etcdserver: key is not provided"),
        ("Range", pb.RangeRequest(), "INVALID_ARGUMENT", "etcdserver: key is not provided"),
        ("DeleteRange", pb.DeleteRangeRequest(), "INVALID_ARGUMENT", "etcdserver: key is not provided"),
        (
            "Put",
            pb.PutRequest(key=b"a", value=b"1", ignore_value=True),
            "INVALID_ARGUMENT",
            "etcdserver: value is provided",
        ),
        (
            "Put",
            pb.PutRequest(key=b"a", lease=1, ignore_lease=True),
            "INVALID_ARGUMENT",
            "etcdserver: lease is provided",
        ),
        ("Put", pb.PutRequest(key=b"a", ignore_value=True), "INVALID_ARGUMENT", "etcdserver: key not found"),
        ("Put", pb.PutRequest(key=b"a", lease=99), "NOT_FOUND", "etcdserver: requested lease not found"),
        (
            "Put",
            pb.PutRequest(key=b"a", value=b"x" * 1_600_000),
            "INVALID_ARGUMENT",
            "etcdserver: request is too large",
        ),
        (
            "Range",
            pb.RangeRequest(key=b"a", sort_order=7),
            "INVALID_ARGUMENT",
            "etcdserver: invalid sort option",
        ),
        (
            "Txn",
            pb.TxnRequest(success=[put_op(b"a")] * 129),
            "INVALID_ARGUMENT",
            "etcdserver: too many operations in txn request",
        ),
        (
            "Txn",
            pb.TxnRequest(success=[put_op(b"a"), put_op(b"a")]),
            "INVALID_ARGUMENT",
            "etcdserver: duplicate key given in txn request",
        ),
        (
            "Txn",
            pb.TxnRequest(success=[put_op(b"ab"), delete_op(b"a", b"b")]),
            "INVALID_ARGUMENT",
            "etcdserver: duplicate key given in txn request",
        ),
        ("Txn", pb.TxnRequest(success=[pb.RequestOp()]), "INVALID_ARGUMENT", "etcdserver: key not found"),
        (
            "Txn",
            pb.TxnRequest(success=[put_op(b"a", lease=99)]),
            "NOT_FOUND",
            "etcdserver: requested lease not found",
        ),
    ],
)
async def test_bad_requests_get_etcds_own_errors(
    client: Client, method: str, request_: object, code: str, text: str
) -> None:
    with pytest.raises(Refused) as refused:
        await client.call("KV", method, request_)
    assert (refused.value.code.name, refused.value.text) == (code, text)
    assert (await client.range(b"\0", b"\0")).count == 0


async def test_garbage_is_refused_and_costs_others_nothing(client: Client) -> None:
    call = client.channel.unary_unary("/etcdserverpb.KV/Put")
    with pytest.raises(grpc.aio.AioRpcError):
        await call(b"\xff\xff\xff\xff", timeout=5)
    await client.put(b"a", b"1")


async def test_a_transaction_takes_one_branch_at_one_revision(client: Client) -> None:
    await client.put(b"a", b"1")
    response = await client.txn(
        [compare(b"a", "VALUE", value=b"1"), compare(b"a", "VERSION", ">", version=0)],
        [put_op(b"a", b"2", prev_kv=True), put_op(b"b", b"2"), get_op(b"a", b"c"), delete_op(b"c")],
        [put_op(b"a", b"wrong")],
    )
    assert response.succeeded
    put, _, ranged, deleted = response.responses
    assert put.response_put.prev_kv.value == b"1"
    assert [kv.value for kv in ranged.response_range.kvs] == [b"2", b"2"]
    assert deleted.response_delete_range.deleted == 0
    kvs = (await client.range(b"a", b"c")).kvs
    assert {kv.mod_revision for kv in kvs} == {response.header.revision}
    response = await client.txn([compare(b"a", "MOD", "<", mod_revision=1)], [put_op(b"x")], [get_op(b"a")])
    assert not response.succeeded and response.responses[0].response_range.kvs[0].value == b"2"


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (compare(b"k1", "CREATE", create_revision=2), True),
        (compare(b"k1", "MOD", "!=", mod_revision=2), True),
        (compare(b"k1", "VERSION", version=2), True),
        (compare(b"k1", "VALUE", ">", value=b"a"), True),
        (compare(b"k1", "LEASE", lease=0), True),
        (compare(b"none", "VERSION", version=0), True),
        (compare(b"none", "VALUE", value=b""), False),
        (compare(b"none", "VALUE", "!=", value=b"x"), False),
        (compare(b"k", "VERSION", ">", range_end=b"l", version=0), True),
        (compare(b"k", "VERSION", range_end=b"l", version=1), False),
        (compare(b"x", "CREATE", range_end=b"y", create_revision=0), True),
    ],
)
async def test_conditions(client: Client, condition: pb.Compare, holds: bool) -> None:
    await client.put(b"k1", b"a")
    await client.put(b"k2", b"b")
    await client.put(b"k1", b"c")
    assert (await client.txn([condition], [])).succeeded is holds


async def test_nested_transactions_judge_by_the_state_before(client: Client) -> None:
    inner = pb.TxnRequest(
        compare=[compare(b"a", "VERSION", version=0)], success=[put_op(b"b", b"was missing")], failure=[put_op(b"b")]
    )
    response = await client.txn([], [put_op(b"a", b"1"), txn_op(inner)])
    assert response.responses[1].response_txn.succeeded
    assert await client.get(b"b") == b"was missing"


async def test_a_refused_transaction_leaves_no_trace(client: Client) -> None:
    before = (await client.put(b"a", b"1")).header.revision
    with pytest.raises(Refused):
        await client.txn([], [put_op(b"a", b"2"), put_op(b"b", b"2", lease=99)])
    with pytest.raises(Refused, match="future revision"):
        await client.txn([], [put_op(b"a", b"2"), get_op(b"a", revision=1000)])
    assert await client.get(b"a") == b"1"
    assert (await client.range(b"a")).header.revision == before


async def test_concurrent_writers_get_every_revision_once(client: Client) -> None:
    async def writer(number: int) -> list[int]:
        return [(await client.put(b"w%d" % number, b"%d" % step)).header.revision for step in range(20)]

    revisions = sorted(itertools.chain(*await asyncio.gather(*(writer(number) for number in range(16)))))
    assert revisions == list(range(revisions[0], revisions[0] + 320))


async def test_a_counter_never_loses_an_increment(client: Client) -> None:
    await client.put(b"n", b"0")

    async def increment() -> None:
        while True:
            (kv,) = (await client.range(b"n")).kvs
            swap = put_op(b"n", b"%d" % (int(kv.value) + 1))
            if (await client.txn([compare(b"n", "MOD", mod_revision=kv.mod_revision)], [swap])).succeeded:
                return

    await asyncio.gather(*(increment() for _ in range(30)))
    assert await client.get(b"n") == b"30"
