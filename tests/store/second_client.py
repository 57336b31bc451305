"""A tour through the store with `aetcd`, an independent client library. A program of its own: the library brings its
own copy of etcd's messages, which cannot live in one process with ours."""

from __future__ import annotations

import asyncio
import sys

import aetcd


async def tour(port: int) -> None:
    async with aetcd.Client(host="127.0.0.1", port=port) as client:
        await client.put(b"a", b"1")
        assert (await client.get(b"a")).value == b"1"
        lease = await client.lease(60)
        await client.put(b"leased", b"x", lease=lease)
        await lease.refresh()
        assert await lease.remaining_ttl() > 50
        await client.revoke_lease(lease.id)
        assert await client.get(b"leased") is None
        swapped, _ = await client.transaction(
            compare=[client.transactions.value(b"a") == b"1"],
            success=[client.transactions.put(b"a", b"2"), client.transactions.get(b"a")],
            failure=[],
        )
        assert swapped
        assert await client.replace(b"a", b"2", b"3")
        watch = await client.watch_prefix(b"w/")
        await client.put(b"w/1", b"x")
        await client.delete(b"w/1")
        kinds = []
        async for event in watch:
            kinds.append((event.kind, event.kv.key))
            if len(kinds) == 2:
                break
        assert kinds == [(aetcd.EventKind.PUT, b"w/1"), (aetcd.EventKind.DELETE, b"w/1")]
        for number in range(5):
            await client.put(b"p/%d" % number, b"x")
        assert len(list(await client.get_prefix(b"p/"))) == 5
        assert (await client.delete_prefix(b"p/")).deleted == 5
        async with client.lock(b"mutex", ttl=10):
            pass
        await client.compact((await client.get(b"a")).mod_revision)
        assert [member async for member in client.members()]
        assert (await client.status()).version
        assert await client.hash() is not None


if __name__ == "__main__":
    asyncio.run(tour(int(sys.argv[1])))
    print("passed")
