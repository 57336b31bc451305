"""Sends the leader's snapshot to members whose part of the log is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import structlog
from etcd.peer_pb2 import SnapshotChunk

from store.errors import StoreError
from store.raft.member import ConsensusMember
from store.raft.network import PeerNetwork
from store.raft.snapshot import SnapshotFile

log = structlog.get_logger(__name__)

CHUNK_BYTES = 512 * 1024
PAUSE_S = 0.5


class SnapshotSender:
    """One transfer at a time to each member."""

    def __init__(self, member: ConsensusMember, network: PeerNetwork, file: SnapshotFile) -> None:
        self._member = member
        self._network = network
        self._file = file
        self._sending: dict[int, asyncio.Task[None]] = {}
        member.engine.needs_snapshot = self.send

    def send(self, target: int) -> None:
        """Begins to send to `target`, unless that is under way."""
        if target not in self._sending:
            task = asyncio.create_task(self._send(target))
            self._sending[target] = task
            task.add_done_callback(lambda _done: self._sending.pop(target, None))

    async def _send(self, target: int) -> None:
        try:
            log.info("sending a snapshot", to=f"{target:x}")
            index = await self._network.install_snapshot(target, self._chunks(target))
            self._member.engine.snapshot_installed(target, index)
            self._member.wake()
            log.info("a snapshot was installed", by=f"{target:x}", index=index)
        except (grpc.aio.AioRpcError, StoreError, OSError) as error:
            reason = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
            log.warning("a snapshot was not installed", by=f"{target:x}", reason=reason)
            await asyncio.sleep(PAUSE_S)

    async def _chunks(self, target: int) -> AsyncIterator[SnapshotChunk]:
        # The file stays readable through this descriptor when a newer one takes its place.
        with self._file.path.open("rb") as file:
            yield SnapshotChunk(hello=self._network.hello(target), term=self._member.term)
            while data := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield SnapshotChunk(data=data)

    async def stop(self) -> None:
        """Gives up what is under way."""
        tasks = list(self._sending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
