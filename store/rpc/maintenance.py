"""etcdserverpb.Maintenance: looking after one member."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from etcd.rpc_pb2 import (
    AlarmRequest,
    AlarmType,
    DefragmentRequest,
    DefragmentResponse,
    HashKVRequest,
    HashKVResponse,
    HashRequest,
    HashResponse,
    MoveLeaderRequest,
    MoveLeaderResponse,
    SnapshotRequest,
    SnapshotResponse,
    StatusRequest,
    StatusResponse,
)

from store.digest import digest
from store.errors import NoSpace
from store.raft import proposer as kinds
from store.raft.proposer import Proposer
from store.replica import Replica
from store.rpc.calls import Headers, StreamMethod, UnaryMethod

SERVICE = "etcdserverpb.Maintenance"
# The release of etcd whose protocol this is.
VERSION = "3.5.21"
STORAGE_VERSION = "3.5.0"
CHUNK_BYTES = 64 * 1024


class Upkeep:
    """What a member can do with its own data."""

    def __init__(
        self,
        *,
        disk_bytes: Callable[[], int],
        defragment: Callable[[], Awaitable[None]],
        export: Callable[[], Awaitable[Path]],
    ) -> None:
        """Gathers it.

        Args:
            disk_bytes: measures what the member takes on its disk.
            defragment: gives back what is not needed, in memory and on the disk.
            export: writes a backup to a new file, which the caller removes. Raises OSError.
        """
        self.disk_bytes = disk_bytes
        self.defragment = defragment
        self.export = export


class Maintenance:
    """Tells how a member is, and looks after it."""

    def __init__(
        self,
        replica: Replica,
        proposer: Proposer,
        headers: Headers,
        upkeep: Upkeep,
        *,
        quota_bytes: int,
        history: asyncio.Lock,
    ) -> None:
        """Serves from `replica`; `history` is held while history has to stay."""
        self._replica = replica
        self._proposer = proposer
        self._headers = headers
        self._upkeep = upkeep
        self._quota_bytes = quota_bytes
        self._history = history

    def methods(self) -> dict[str, UnaryMethod]:
        """The service's methods with one response, by name."""
        return {
            "Status": self.status,
            "Alarm": self.alarm,
            "Defragment": self.defragment,
            "Hash": self.hash,
            "HashKV": self.hash_kv,
            "MoveLeader": self.move_leader,
        }

    def streams(self) -> dict[str, StreamMethod]:
        """The service's methods with a stream of responses, by name."""
        return {"Snapshot": self.snapshot}

    async def status(self, raw: bytes) -> bytes:
        """Tells version, size, leader and place in the log, of this member alone."""
        StatusRequest.FromString(raw)
        status = self._proposer.status()
        machine = self._replica.machine
        response = StatusResponse(
            version=VERSION,
            dbSize=self._upkeep.disk_bytes(),
            dbSizeInUse=machine.keyspace.size,
            dbSizeQuota=self._quota_bytes,
            storageVersion=STORAGE_VERSION,
            leader=status.leader,
            raftIndex=status.index,
            raftTerm=status.term,
            raftAppliedIndex=status.applied,
            isLearner=status.member in machine.members and machine.members.get(status.member).isLearner,
            errors=[f"memberID:{member} alarm:{AlarmType.Name(alarm)} " for member, alarm in sorted(machine.alarms)],
        )
        if not status.leader:
            response.errors.append("etcdserver: no leader")
        return self._headers.answer(response, machine.keyspace.revision)

    async def alarm(self, raw: bytes) -> bytes:
        """Reads, raises or clears alarms."""
        AlarmRequest.FromString(raw)
        return self._headers.answer_outcome(await self._proposer.propose(kinds.ALARM, raw))

    async def defragment(self, raw: bytes) -> bytes:
        """Gives back what is not needed. Compaction does so by itself; this waits for it."""
        DefragmentRequest.FromString(raw)
        await self._upkeep.defragment()
        return self._headers.answer(DefragmentResponse(), self._replica.machine.keyspace.revision)

    async def hash(self, raw: bytes) -> bytes:
        """A checksum over all this member holds."""
        HashRequest.FromString(raw)
        async with self._history:
            keyspace = self._replica.machine.keyspace
            revision = keyspace.revision
            return self._headers.answer(HashResponse(hash=await digest(keyspace, revision)), revision)

    async def hash_kv(self, raw: bytes) -> bytes:
        """A checksum over the history up to a revision."""
        request = HashKVRequest.FromString(raw)
        await self._proposer.barrier()
        async with self._history:
            keyspace = self._replica.machine.keyspace
            keyspace.check_revision(request.revision, keyspace.revision)
            revision = request.revision or keyspace.revision
            response = HashKVResponse(
                compact_revision=keyspace.compact_revision or -1,
                hash_revision=revision,
                hash=await digest(keyspace, revision),
            )
            return self._headers.answer(response, keyspace.revision)

    async def snapshot(self, requests: AsyncIterator[bytes], context: Any) -> None:
        """Streams a backup, with its SHA-256 at the end."""
        async for raw in requests:
            SnapshotRequest.FromString(raw)
        try:
            path = await self._upkeep.export()
        except OSError as error:
            raise NoSpace from error
        header = self._headers.message(self._replica.machine.keyspace.revision)
        checksum = hashlib.sha256()
        try:
            remaining = path.stat().st_size + checksum.digest_size
            with path.open("rb") as file:
                while data := await asyncio.to_thread(file.read, CHUNK_BYTES):
                    checksum.update(data)
                    remaining -= len(data)
                    response = SnapshotResponse(
                        header=header, remaining_bytes=remaining, blob=data, version=STORAGE_VERSION
                    )
                    await context.write(response.SerializeToString())
            response = SnapshotResponse(header=header, blob=checksum.digest(), version=STORAGE_VERSION)
            await context.write(response.SerializeToString())
        finally:
            path.unlink(missing_ok=True)

    async def move_leader(self, raw: bytes) -> bytes:
        """Makes another member the leader."""
        await self._proposer.transfer_leadership(MoveLeaderRequest.FromString(raw).targetID)
        return self._headers.answer(MoveLeaderResponse(), self._replica.machine.keyspace.revision)
