"""steersman.store.Peer: what other members ask of this one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import structlog
from etcd.log_pb2 import Identity
from etcd.peer_pb2 import (
    Answer,
    Envelopes,
    Hello,
    IdentifyReply,
    IdentifyRequest,
    Question,
    SnapshotChunk,
    SnapshotReply,
    Welcome,
)

from store.errors import OtherCluster, StoreError
from store.lease.keeper import LeaseKeeper
from store.raft import snapshot
from store.raft.courier import Courier
from store.raft.files import DataCorrupt, sync_directory, write_all
from store.raft.member import ConsensusMember
from store.raft.network import REMOVED, SERVICE, PeerNetwork
from store.raft.snapshot import SnapshotFile
from store.rpc.calls import StreamMethod, UnaryMethod

log = structlog.get_logger(__name__)

__all__ = ["SERVICE", "Peer"]


class Peer:
    """Takes messages, snapshots and questions of other members."""

    def __init__(
        self,
        *,
        identity: Identity,
        member: ConsensusMember,
        courier: Courier,
        network: PeerNetwork,
        keeper: LeaseKeeper,
        file: SnapshotFile,
        history: asyncio.Lock,
        installed: Callable[[int], None],
    ) -> None:
        """Serves `member`.

        Args:
            identity: whose services.
            member: who is asked.
            courier: takes the messages.
            network: hears who can be reached where.
            keeper: the leader's clock of leases.
            file: this member's snapshot.
            history: held by whoever writes it.
            installed: is told the index of a snapshot that was installed from the leader.
        """
        self._history = history
        self._identity = identity
        self._member = member
        self._courier = courier
        self._network = network
        self._keeper = keeper
        self._file = file
        self._installed = installed
        self._streams: dict[int, object] = {}
        self._installing = asyncio.Lock()

    def methods(self) -> dict[str, UnaryMethod]:
        """The service's methods with one request and one response, by name."""
        return {"Ask": self.ask, "Identify": self.identify}

    def streams(self) -> dict[str, StreamMethod]:
        """The service's methods with a stream of requests, by name."""
        return {"Messages": self.messages, "InstallSnapshot": self.install_snapshot}

    async def _greet(self, hello: Hello, context: Any) -> None:
        """Ends the call of one who has no business here."""
        identity = self._identity
        if hello.cluster_id != identity.cluster_id or hello.destination != identity.member_id:
            self._courier.dropped["another cluster"] += 1
            log.warning("a stranger was turned away", sender=f"{hello.sender:x}", cluster=f"{hello.cluster_id:x}")
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "etcdserver: cluster ID mismatch")
        if hello.sender in self._member.engine.configuration.removed:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, REMOVED)

    async def messages(self, requests: AsyncIterator[bytes], context: Any) -> None:
        """Takes a member's messages. A newer stream of the same member ends this one: nothing comes late or twice."""
        token = object()
        sender = 0
        try:
            async for raw in requests:
                batch = Envelopes.FromString(raw)
                if batch.HasField("hello"):
                    await self._greet(batch.hello, context)
                    sender = batch.hello.sender
                    self._streams[sender] = token
                    self._network.learn(sender, tuple(batch.hello.peer_urls))
                    await context.write(Welcome().SerializeToString())
                if not sender or self._streams.get(sender) is not token:
                    return
                if sender in self._member.engine.configuration.removed:
                    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, REMOVED)
                self._network.heard(sender)
                for envelope in batch.envelopes:
                    if envelope.sender == sender:
                        self._courier.deliver(envelope)
        finally:
            if self._streams.get(sender) is token:
                del self._streams[sender]

    async def install_snapshot(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        """Replaces this member's state by the leader's snapshot, if that is newer."""
        async with self._installing:
            incoming = self._file.path.with_name("snapshot.incoming")
            descriptor = os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            term = 0
            try:
                async for raw in requests:
                    chunk = SnapshotChunk.FromString(raw)
                    if not term:
                        await self._greet(chunk.hello, context)
                        term = chunk.term
                    await asyncio.to_thread(write_all, descriptor, chunk.data)
                await asyncio.to_thread(os.fsync, descriptor)
            finally:
                os.close(descriptor)
            try:
                index = await self._install(incoming, term)
            except DataCorrupt as error:
                await context.abort(grpc.StatusCode.DATA_LOSS, str(error))
            finally:
                incoming.unlink(missing_ok=True)
            return SnapshotReply(index=index).SerializeToString()

    async def _install(self, incoming: Path, term: int) -> int:
        head, machine = await asyncio.to_thread(snapshot.load, incoming)
        if head.cluster_id != self._identity.cluster_id:
            raise DataCorrupt(incoming, 0, "the snapshot belongs to another cluster")
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def install() -> None:
            engine = self._member.engine
            if term < engine.raftCurrentTerm or head.index <= engine.raftCommitIndex:
                # A leader that was deposed, or news that are old: what is here counts.
                done.set_result(engine.raftCommitIndex if term == engine.raftCurrentTerm else 0)
                return
            # First the snapshot, then the log that begins behind it.
            incoming.rename(self._file.path)
            sync_directory(self._file.path.parent)
            self._member.install(head, machine)
            self._installed(head.index)
            log.info("the leader's snapshot was installed", index=head.index, revision=head.revision)
            done.set_result(head.index)

        # A snapshot of our own that is being written must not take the place of this one afterwards.
        async with self._history:
            self._member.when_quiet(install)
            return await done

    async def identify(self, raw: bytes) -> bytes:
        """Tells a member that joins whose cluster this is."""
        IdentifyRequest.FromString(raw)
        members = self._member.engine.configuration.all()
        return IdentifyReply(genesis=self._identity, members=members).SerializeToString()

    async def ask(self, raw: bytes) -> bytes:
        """Answers what only the leader can. Raises OtherCluster."""
        question = Question.FromString(raw)
        if question.cluster_id != self._identity.cluster_id:
            raise OtherCluster
        answer = Answer()
        try:
            await self._answer(question, answer)
        except StoreError as error:
            answer.refusal = type(error).__name__
        return answer.SerializeToString()

    async def _answer(self, question: Question, answer: Answer) -> None:
        kind = question.WhichOneof("question")
        if kind == "read_index":
            answer.index = await self._member.read_index()
        elif kind == "keep_alive":
            answer.ttl = await self._keeper.keep_alive(question.keep_alive)
        elif kind == "time_to_live":
            answer.ttl = self._keeper.remaining(question.time_to_live)
        elif kind == "membership":
            outcome = await self._member.change_members_as_leader(question.membership)
            if outcome.error is not None:
                raise outcome.error
            answer.members.extend(outcome.response.members)
            answer.revision = outcome.revision
