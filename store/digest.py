"""A checksum over keys and their history, equal at members that hold the same."""

from __future__ import annotations

import asyncio
import zlib

from store.mvcc.keyspace import Keyspace

KEYS_PER_STEP = 500


async def digest(keyspace: Keyspace, revision: int) -> int:
    """CRC-32 over the history up to `revision` that compaction has left, in slices between other work.

    Nothing may be scrubbed meanwhile.
    """
    compact_revision = keyspace.compact_revision
    checksum = zlib.crc32(compact_revision.to_bytes(8, "big"))
    keys = keyspace.all_keys()
    for place in range(0, len(keys), KEYS_PER_STEP):
        for key in keys[place : place + KEYS_PER_STEP]:
            for version in keyspace.visible(keyspace.history(key), revision, compact_revision):
                checksum = zlib.crc32(version.encoded, checksum)
        await asyncio.sleep(0)
    return checksum
