"""Wires a member together and runs it. The only place that knows every part."""

from __future__ import annotations

import asyncio
import gc
import random
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import structlog
from etcd.log_pb2 import Identity, MemberAttributes
from etcd.rpc_pb2 import Member
from prometheus_client import CollectorRegistry
from steersman.service.metrics import MetricsServer
from steersman.service.run import StartError
from steersman.service.server import GrpcServer
from steersman.service.tls import TLSFiles, client_context

from store import members as membership
from store.directory import DataDirectory, DirectoryInUse, Recovery
from store.errors import StoreError
from store.front import Front
from store.metrics import StoreMetrics
from store.raft import proposer as kinds
from store.raft.courier import Courier
from store.raft.disk import DiskThread
from store.raft.engine import Engine, LogApplier, Timing
from store.raft.files import DataCorrupt
from store.raft.member import ConsensusMember
from store.raft.network import Events, PeerNetwork, identify
from store.raft.sender import SnapshotSender
from store.raft.snapshots import SnapshotKeeper
from store.replica import Replica
from store.rpc import peer
from store.rpc.calls import CallCounts
from store.rpc.maintenance import Upkeep
from store.rpc.server import ServiceTable
from store.settings import Certificates, Endpoint, Settings, SettingsError

log = structlog.get_logger(__name__)

INTRODUCE_AGAIN_S = 0.2
BACKUP_NAME = "backup.new"


class Store:
    """One running member."""

    def __init__(self, settings: Settings, directory: DataDirectory, recovery: Recovery) -> None:
        """Puts the parts together; nothing runs before `start`. Call it from within the event loop."""
        self.settings = settings
        self._directory = directory
        self._recovery = recovery
        identity = recovery.identity
        self._history = history = asyncio.Lock()
        self.replica = Replica(recovery.machine)
        timing = Timing(settings.heartbeat_s, settings.election_s)
        self.network = PeerNetwork(
            cluster=identity.cluster_id,
            member=identity.member_id,
            peer_urls=settings.advertise_peer_urls,
            tls=peer_context(settings),
            now=time.monotonic,
            events=Events(self._connected, self._disconnected, lambda: self.member.tell_removed()),
        )
        self.courier = Courier(
            cluster=identity.cluster_id,
            member=identity.member_id,
            link=self.network,
            clock=time.monotonic,
            patience=settings.election_s,
            wake=lambda: None,
        )

        def make_engine(apply: LogApplier) -> Engine:
            return Engine(
                identity.member_id,
                members=lambda: self.replica.machine.members,
                journal=recovery.journal,
                applied=max(1, recovery.machine.applied),
                transport=self.courier,
                timing=timing,
                random=random.random,
                apply=apply,
            )

        self.member = ConsensusMember(
            member=identity.member_id,
            replica=self.replica,
            journal=recovery.journal,
            courier=self.courier,
            make_engine=make_engine,
            disk=DiskThread(asyncio.get_running_loop(), time.monotonic),
            timing=timing,
            clock=time.monotonic,
            first_batch=random.getrandbits(30) << 32,
            ask=self.network.ask,
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
            entries_kept=settings.catchup_entries,
        )
        self._sender = SnapshotSender(self.member, self.network, recovery.snapshot)
        self.front = Front(
            settings,
            identity,
            self.replica,
            self.member,
            history=history,
            upkeep=Upkeep(disk_bytes=self.disk_bytes, defragment=self._defragment, export=self._export),
        )
        self._peer_calls = CallCounts()
        self._peer_server: GrpcServer | None = None
        self._metrics: list[MetricsServer] = []
        self._introducing: asyncio.Task[None] | None = None
        self._looking_after: asyncio.Task[None] | None = None
        self.client_ports: list[int] = []

    def _connected(self, member: int) -> None:
        self.member.engine.connected(member)
        self.member.wake()

    def _disconnected(self, member: int) -> None:
        self.member.engine.disconnected(member)

    def disk_bytes(self) -> int:
        """Bytes of log and snapshot on the disk."""
        file = self._recovery.snapshot.path
        return self._recovery.wal.size() + (file.stat().st_size if file.exists() else 0)

    async def _defragment(self) -> None:
        await self.front.scrubber.finished()
        await self.snapshots.take()

    async def _export(self) -> Path:
        path = self._recovery.snapshot.path.with_name(f"{BACKUP_NAME}.{random.getrandbits(32):08x}")
        try:
            await self.snapshots.export(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

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
        if settings.serve_peers:
            await self._serve_peers()
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

    async def _serve_peers(self) -> None:
        service = peer.Peer(
            identity=self._recovery.identity,
            member=self.member,
            courier=self.courier,
            network=self.network,
            keeper=self.front.keeper,
            file=self._recovery.snapshot,
            history=self._history,
            installed=self.snapshots.installed,
        )
        table = ServiceTable(self._peer_calls)
        table.add(peer.SERVICE, service.methods(), service.streams())
        server = table.server()
        for url in self.settings.peer_urls:
            endpoint = Endpoint.parse(url)
            server.listen(endpoint.address, _tls_files(self.settings.peer_tls) if endpoint.secure else None)
        self._peer_server = server
        await server.start()
        self.member.engine.on_configuration = self.network.configure
        self.network.configure(self.member.engine.configuration)
        self._looking_after = asyncio.create_task(self.network.look_after())

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
                dropped=self.courier.dropped,
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
            known = self.replica.machine.members
            mine = known.get(attributes.ID) if attributes.ID in known else None
            if mine and (mine.name, list(mine.clientURLs)) == (attributes.name, list(attributes.client_urls)):
                break
            try:
                await self.member.propose_as_member(kinds.MEMBER_ATTRIBUTES, attributes.SerializeToString())
            except StoreError as error:
                log.info("waiting for the cluster", reason=type(error).__name__)
            await asyncio.sleep(INTRODUCE_AGAIN_S)
        await self.front.server.set_serving(True)

    async def stop(self) -> None:
        """Hands leadership over, stops serving, then taking part. Everything acknowledged is on the disk."""
        for task in (self._introducing, self._looking_after):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if not self.member.failed.done():
            await self.member.leave()
        await self.front.stop()
        await self._sender.stop()
        await self.snapshots.stop()
        self.member.stop()
        await self.network.close()
        if self._peer_server is not None:
            await self._peer_server.stop(0)
        for server in self._metrics:
            await asyncio.to_thread(server.stop)
        self._directory.close()


async def open_store(settings: Settings) -> Store:
    """A member ready to start, from its directory or as a new one.

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
            settings.check_initial()
            directory.create(await new_identity(settings))
        recovery = directory.recover()
    except (SettingsError, DataCorrupt, OSError) as error:
        directory.close()
        raise StartError(str(error)) from error
    except StartError:
        directory.close()
        raise
    return Store(settings, directory, recovery)


async def new_identity(settings: Settings) -> Identity:
    """Whose directory it becomes: a new cluster's, or that of the cluster this member was added to.

    A new cluster's numbers are computed from addresses, so that all first members agree on them.

    Raises:
        StartError: the cluster that runs cannot be reached, or does not know this member.
    """
    if settings.initial_state == "existing":
        return await _joining_identity(settings)
    token = settings.cluster_token
    members: list[Member] = [
        Member(ID=membership.member_id(urls, token), name="", peerURLs=urls)
        for urls in settings.initial_cluster.values()
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


async def _joining_identity(settings: Settings) -> Identity:
    tls = peer_context(settings)
    mine = set(settings.advertise_peer_urls)
    others = [url for urls in settings.initial_cluster.values() for url in urls if url not in mine]
    reasons = []
    for url in others:
        try:
            reply = await identify(url, tls)
        except grpc.aio.AioRpcError as error:
            reasons.append(f"{url}: {error.details()}")
            continue
        for member in reply.members:
            if set(member.peerURLs) == mine:
                genesis = reply.genesis
                return Identity(
                    cluster_id=genesis.cluster_id,
                    member_id=member.ID,
                    members=genesis.members,
                    name=settings.name,
                    first_revision=genesis.first_revision,
                )
        raise StartError(f"the cluster at {url} has no member at {','.join(sorted(mine))}: add it there first")
    raise StartError(f"no member of the cluster can be reached: {'; '.join(reasons) or '--initial-cluster names none'}")


def peer_context(settings: Settings) -> ssl.SSLContext | None:
    """The certificate that this member shows to others, and whom it trusts; None when they speak plain text.

    Raises:
        TLSFileError: a file cannot be used.
    """
    tls = settings.peer_tls
    if tls.certificate is None:
        return None
    return client_context(tls.authority, tls.certificate, tls.key)


def _tls_files(certificates: Certificates) -> TLSFiles:
    certificate = _required(certificates.certificate)
    return TLSFiles(certificate, _required(certificates.key), certificates.authority or certificate)


def _required(path: Path | None) -> Path:
    if path is None:
        raise StartError("an https url needs a certificate and a key")
    return path


async def run(settings: Settings, stop: asyncio.Event, started: Callable[[Store], None] | None = None) -> None:
    """Runs a member until `stop` is set, or the cluster removes it.

    Raises:
        StartError: it cannot start, or cannot go on.
    """
    store = await open_store(settings)
    # What was just loaded stays: the collector need not walk it, and need not run as often as for a small program.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        await store.start()
        if started is not None:
            started(store)
        stopping = asyncio.create_task(stop.wait())
        waited: set[asyncio.Future[Any]] = {stopping, store.member.failed, store.member.removed}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if store.member.failed.done():
            raise StartError(f"the member cannot go on: {store.member.failed.exception()}")
        if store.member.removed.done():
            log.warning("this member was removed from the cluster")
    finally:
        await store.stop()
