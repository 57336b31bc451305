"""Writes that replace other keys in the same transaction, on every implementation."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from apiserver.storage.port import Claim, Guarded, KeyChanged, KeyExists


@pytest.fixture
def prefix() -> str:
    return f"/registry/guards-{secrets.token_hex(4)}/"


async def test_a_write_and_what_it_guards_happen_together(storage: Any, prefix: str) -> None:
    key, other = f"{prefix}a", f"{prefix}quota"
    first = await storage.create(other, b"0")
    written = await storage.create(key, b"x", guards=[Guarded(other, b"1", first)])
    assert (await storage.get(other)) == (other, b"1", written)
    again = await storage.update(key, b"y", revision=written, guards=[Guarded(other, b"2", written)])
    assert ((await storage.get(other)).value, (await storage.get(key)).revision) == (b"2", again)


async def test_neither_happens_when_the_guarded_key_changed(storage: Any, prefix: str) -> None:
    key, other, claim = f"{prefix}a", f"{prefix}quota", f"{prefix}claim"
    first = await storage.create(other, b"0")
    now = await storage.update(other, b"1", revision=first)
    with pytest.raises(KeyChanged) as caught:
        await storage.create(key, b"x", claims=[Claim(claim, b"c")], guards=[Guarded(other, b"2", first)])
    assert (caught.value.key, caught.value.current.revision) == (other, now)
    assert await storage.get(key) is None
    assert await storage.get(claim) is None
    written = await storage.create(key, b"x")
    with pytest.raises(KeyChanged) as caught:
        await storage.update(key, b"y", revision=written, guards=[Guarded(other, b"2", first)])
    assert caught.value.key == other
    with pytest.raises(KeyChanged) as caught:
        await storage.update(key, b"y", revision=first, guards=[Guarded(other, b"2", now)])
    assert caught.value.key == key
    with pytest.raises(KeyChanged) as caught:
        await storage.create(f"{prefix}b", b"x", guards=[Guarded(f"{prefix}none", b"2", first)])
    assert caught.value.current is None
    with pytest.raises(KeyExists):
        await storage.create(key, b"x", guards=[Guarded(other, b"2", now)])
    assert (await storage.get(other)).value == b"1"


async def test_many_at_once_are_counted_exactly(storage: Any, prefix: str) -> None:
    other = f"{prefix}count"
    await storage.create(other, b"0")
    lost = 0

    async def count(index: int) -> None:
        nonlocal lost
        while True:
            known = await storage.get(other)
            guard = Guarded(other, str(int(known.value) + 1).encode(), known.revision)
            try:
                await storage.create(f"{prefix}n{index}", b"x", guards=[guard])
                return
            except KeyChanged:
                lost += 1

    await asyncio.gather(*(count(index) for index in range(8)))
    assert (await storage.get(other)).value == b"8"
