"""When a snapshot is due, and taking it while writes go on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import structlog
from etcd.log_pb2 import SnapshotHead

from store.mvcc.keyspace import Keyspace
from store.raft import snapshot
from store.raft.engine import Engine
from store.raft.files import write_all
from store.raft.journal import DurableJournal
from store.raft.snapshot import SnapshotFile
from store.replica import Replica

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
# The log may grow by this much, or by a quarter of the last snapshot, before the next one.
LOG_BYTES = 16 * 1024 * 1024
LOG_ENTRIES = 50_000
WRITE_BYTES = 512 * 1024


class SnapshotKeeper:
    """Takes a snapshot when the log has grown enough, and then lets go of the log before it."""

    def __init__(
        self,
        *,
        replica: Replica,
        engine: Engine,
        when_quiet: Callable[[Callable[[], None]], None],
        journal: DurableJournal,
        file: SnapshotFile,
        cluster_id: int,
        history: asyncio.Lock,
        index: int,
        entries_kept: int,
    ) -> None:
        """Keeps snapshots of `replica` in `file`.

        Args:
            replica: whose state.
            engine: tells terms of entries, and drops entries.
            when_quiet: runs something while the journal is not being written.
            journal: lets go of files.
            file: where to.
            cluster_id: written into the snapshot.
            history: held while a snapshot is written, so that nothing it needs is scrubbed.
            index: log index of the snapshot that is there; 0 for none.
            entries_kept: entries that stay behind a snapshot, for followers that are a little behind.
        """
        self._replica = replica
        self._engine = engine
        self._when_quiet = when_quiet
        self._journal = journal
        self._file = file
        self._cluster_id = cluster_id
        self._history = history
        self.index = index
        self._entries_kept = entries_kept
        self._size = file.path.stat().st_size if file.exists() else 0
        self._task: asyncio.Task[None] | None = None

    @property
    def due(self) -> bool:
        """Whether the log has grown enough since the last snapshot."""
        applied = self._replica.machine.applied
        grown = self._journal.bytes_since(self.index)
        return applied > self.index + 1 and (
            applied - self.index > LOG_ENTRIES or grown > max(LOG_BYTES, self._size // 4)
        )

    async def take(self) -> None:
        """Takes a snapshot of the state as it is now. Raises OSError; then the one before stays."""
        async with self._history:
            machine = self._replica.machine
            index = machine.applied
            if index <= max(self.index, 1):
                return
            head = snapshot.head_of(
                machine, self._cluster_id, self._engine.term_at(index), self._engine.term_at(index - 1)
            )
            descriptor = self._file.begin()
            try:
                await self._write(descriptor, machine.keyspace, head)
            except BaseException:
                self._file.abandon(descriptor)
                raise
            if index <= self.index:
                # Meanwhile the leader's snapshot arrived, which is newer.
                self._file.abandon(descriptor)
                return
            await asyncio.to_thread(self._file.commit, descriptor)
        self.index = index
        self._size = self._file.path.stat().st_size
        self._when_quiet(self.let_go)
        log.info("snapshot", index=index, bytes=self._size, revision=head.revision)

    async def _write(self, descriptor: int, keyspace: Keyspace, head: SnapshotHead) -> None:
        pieces: list[bytes] = []
        size = 0
        for piece in snapshot.frames(keyspace, head):
            pieces.append(piece)
            size += len(piece)
            if size >= WRITE_BYTES:
                await asyncio.to_thread(write_all, descriptor, b"".join(pieces))
                pieces, size = [], 0
            else:
                await asyncio.sleep(0)
        await asyncio.to_thread(write_all, descriptor, b"".join(pieces))

    def installed(self, index: int) -> None:
        """The leader's snapshot took the place of the one here."""
        self.index = index
        self._size = self._file.path.stat().st_size

    async def export(self, path: Path) -> None:
        """Writes a snapshot of the state as it is now to a file of its own, for a backup. Raises OSError."""
        async with self._history:
            machine = self._replica.machine
            index = machine.applied
            head = snapshot.head_of(
                machine, self._cluster_id, self._engine.term_at(index), self._engine.term_at(max(1, index - 1))
            )
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                await self._write(descriptor, machine.keyspace, head)
            finally:
                os.close(descriptor)

    def let_go(self) -> None:
        """Drops the entries and files that the snapshot stands for. Raises OSError."""
        keep_from = self.index - 1 if self._engine.is_alone else max(1, self.index - 1 - self._entries_kept)
        self._engine.forget_before(keep_from)
        self._journal.forget_files_before(keep_from)

    def start(self) -> None:
        """Begins to look whether one is due."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ceases to; one that is being taken is given up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self.due:
                try:
                    await self.take()
                except OSError as error:
                    log.error("no snapshot could be taken; the log grows", error=str(error))
