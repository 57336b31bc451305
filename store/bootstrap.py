"""Wires a member together and runs it. The only place that knows every part."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from etcd.log_pb2 import Identity, MemberAttributes
from etcd.rpc_pb2 import Member
from prometheus_client import CollectorRegistry
from pysyncobj.node import Node
from steersman.service.metrics import MetricsServer
from steersman.service.run import StartError
from steersman.service.tls import TLSFiles

from store import members as membership
from store.directory import DataDirectory, DirectoryInUse, Recovery
from store.errors import StoreError
from store.front import Front
from store.metrics import StoreMetrics
from store.raft import proposer as kinds
from store.raft.disk import DiskThread
from store.raft.engine import Engine, LogApplier, Timing
from store.raft.files import DataCorrupt
from store.raft.member import ConsensusMember
from store.raft.snapshots import SnapshotKeeper
from store.raft.transport import SoleTransport
from store.replica import Replica
from store.settings import Certificates, Endpoint, Settings, SettingsError

log = structlog.get_logger(__name__)

INTRODUCE_AGAIN_S = 1.0


def node_of(member: int) -> Node:
    """PySyncObj's name for a member."""
    return Node(f"{member:016x}")


class Store:
    """One running member."""

    def __init__(self, settings: Settings, directory: DataDirectory, recovery: Recovery) -> None:
        """Puts the parts together; nothing runs before `start`. Call it from within the event loop."""
        self.settings = settings
        self._directory = directory
        self._recovery = recovery
        identity = recovery.identity
        history = asyncio.Lock()
        self.replica = Replica(recovery.machine)
        timing = Timing(settings.heartbeat_s, settings.election_s)
        outbox = SoleTransport()

        def make_engine(apply: LogApplier) -> Engine:
            return Engine(
                node_of(identity.member_id),
                {node_of(voter) for voter in recovery.machine.members.voters() if voter != identity.member_id},
                journal=recovery.journal,
                applied=max(1, recovery.machine.applied),
                transport=outbox,
                timing=timing,
                random=random.random,
                apply=apply,
            )

        self.member = ConsensusMember(
            member=identity.member_id,
            replica=self.replica,
            journal=recovery.journal,
            outbox=outbox,
            make_engine=make_engine,
            disk=DiskThread(asyncio.get_running_loop()),
            timing=timing,
            clock=time.monotonic,
            first_batch=random.getrandbits(30) << 32,
        )
        self.snapshots = SnapshotKeeper(
            replica=self.replica,
            engine=self.member.engine,
            when_quiet=self.member.when_quiet,
            journal=recovery.journal,
            file=recovery.snapshot,
            cluster_id=identity.cluster_id,
            history=history,
            index=recovery.snapshot_index,
        )
        self.front = Front(settings, identity, self.replica, self.member, history=history, disk_bytes=self.disk_bytes)
        self._metrics: list[MetricsServer] = []
        self._introducing: asyncio.Task[None] | None = None
        self.client_ports: list[int] = []

    def disk_bytes(self) -> int:
        """Bytes of log and snapshot on the disk."""
        file = self._recovery.snapshot.path
        return self._recovery.wal.size() + (file.stat().st_size if file.exists() else 0)

    async def start(self) -> None:
        """Begins to take part and to serve.

        Raises:
            BindError, TLSFileError, OSError: an address or a certificate cannot be used.
        """
        settings = self.settings
        if self._recovery.cut_bytes:
            log.warning("the log ended in an unfinished write, which was cut", bytes=self._recovery.cut_bytes)
        for url in settings.client_urls:
            endpoint = Endpoint.parse(url)
            tls = _tls_files(settings.client_tls) if endpoint.secure else None
            self.client_ports.append(
                self.front.server.listen(endpoint.address, tls, require_client=settings.client_tls.require_client)
            )
        self.member.start()
        self.snapshots.start()
        await self.front.start()
        self._start_metrics()
        self._introducing = asyncio.create_task(self._introduce())
        log.info(
            "serving",
            name=settings.name,
            member=f"{self._recovery.identity.member_id:x}",
            cluster=f"{self._recovery.identity.cluster_id:x}",
            clients=",".join(settings.client_urls),
            revision=self.replica.machine.keyspace.revision,
        )

    def _start_metrics(self) -> None:
        registry = CollectorRegistry()
        registry.register(
            StoreMetrics(
                replica=self.replica,
                proposer=self.member,
                wal=self._recovery.wal,
                hub=self.front.hub,
                watch_streams=lambda: self.front.watch.stream_count,
                calls=self.front.calls,
                quota_bytes=self.settings.quota_bytes,
                disk_bytes=self.disk_bytes,
            )
        )
        for url in self.settings.metrics_urls:
            endpoint = Endpoint.parse(url)
            tls = _tls_files(self.settings.client_tls) if endpoint.secure else None
            server = MetricsServer.start(endpoint.address, tls, registry)
            if server is not None:
                self._metrics.append(server)

    async def _introduce(self) -> None:
        """Tells the cluster this member's name and addresses, then says that it serves."""
        attributes = MemberAttributes(
            ID=self._recovery.identity.member_id,
            name=self.settings.name,
            client_urls=self.settings.advertise_client_urls,
        )
        while True:
            try:
                await self.member.barrier()
                known = self.replica.machine.members
                mine = known.get(attributes.ID) if attributes.ID in known else None
                if mine and (mine.name, list(mine.clientURLs)) != (attributes.name, list(attributes.client_urls)):
                    await self.member.propose(kinds.MEMBER_ATTRIBUTES, attributes.SerializeToString())
                break
            except StoreError as error:
                log.info("waiting for the cluster", reason=type(error).__name__)
                await asyncio.sleep(INTRODUCE_AGAIN_S)
        await self.front.server.set_serving(True)

    async def stop(self) -> None:
        """Stops serving, then taking part. Everything acknowledged is on the disk."""
        if self._introducing is not None:
            self._introducing.cancel()
            await asyncio.gather(self._introducing, return_exceptions=True)
        await self.front.stop()
        await self.snapshots.stop()
        self.member.stop()
        for server in self._metrics:
            await asyncio.to_thread(server.stop)
        self._directory.close()


def open_store(settings: Settings) -> Store:
    """A member ready to start, from its directory or as a new one. Call it from within the event loop.

    Raises:
        StartError: the settings or the directory do not allow it; the message says what and where.
    """
    try:
        settings.check()
        directory = DataDirectory(settings.data_dir)
    except (SettingsError, DirectoryInUse, OSError) as error:
        raise StartError(str(error)) from error
    try:
        if directory.is_new:
            directory.create(new_identity(settings))
        recovery = directory.recover()
    except (DataCorrupt, OSError) as error:
        directory.close()
        raise StartError(str(error)) from error
    return Store(settings, directory, recovery)


def new_identity(settings: Settings) -> Identity:
    """Whose directory it becomes: numbers are computed from addresses, so that all first members agree on them."""
    token = settings.cluster_token
    members: list[Member] = [
        Member(ID=membership.member_id(urls, token), name=name, peerURLs=urls)
        for name, urls in settings.initial_cluster.items()
    ]
    members.sort(key=lambda member: member.ID)
    mine = membership.member_id(settings.initial_cluster[settings.name], token)
    return Identity(
        cluster_id=membership.cluster_id(members, token),
        member_id=mine,
        members=members,
        name=settings.name,
        first_revision=1,
    )


def _tls_files(certificates: Certificates) -> TLSFiles:
    certificate = _required(certificates.certificate)
    return TLSFiles(certificate, _required(certificates.key), certificates.authority or certificate)


def _required(path: Path | None) -> Path:
    if path is None:
        raise StartError("an https url needs a certificate and a key")
    return path


async def run(settings: Settings, stop: asyncio.Event, started: Callable[[Store], None] | None = None) -> None:
    """Runs a member until `stop` is set.

    Raises:
        StartError: it cannot start, or cannot go on.
    """
    store = open_store(settings)
    try:
        await store.start()
        if started is not None:
            started(store)
        stopping = asyncio.create_task(stop.wait())
        waited: set[asyncio.Future[Any]] = {stopping, store.member.failed}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if store.member.failed.done():
            raise StartError(f"the member cannot go on: {store.member.failed.exception()}")
    finally:
        await store.stop()
