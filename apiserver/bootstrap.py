"""Wires the apiserver: store, registries, admission, rpc edge. Everything that is shared is made here, once."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry
from steersman.clock import Clock, RealClock
from steersman.service.metrics import MetricsServer
from steersman.service.server import GrpcServer
from steersman.service.tls import TLSFiles

from apiserver import (
    bootstrap_access,
    bootstrap_objects,
    compaction,
    default_roles,
    encryption,
    errors,
    fairness,
    strategies,
)
from apiserver.access import Access
from apiserver.admission.certificates import CertificateRequests
from apiserver.admission.default_storage_class import DefaultStorageClass
from apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from apiserver.admission.escalation import Escalation
from apiserver.admission.limit_ranger import LimitRanger
from apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from apiserver.admission.node_restriction import NodeRestriction
from apiserver.admission.node_room import NodeRoom
from apiserver.admission.pod_security import PodSecurity
from apiserver.admission.priority import Priority
from apiserver.admission.resource_quota import QuotaAdmission
from apiserver.admission.service_account import ServiceAccounts
from apiserver.allocation import Allocator
from apiserver.audit import policy as audit_policy
from apiserver.audit.log import AuditLog, RotatedFile
from apiserver.fairness import Fairness
from apiserver.metrics import Metrics
from apiserver.registry import Registry, Surroundings
from apiserver.rpc import metrics as metrics_rpc
from apiserver.rpc import resources, versions
from apiserver.rpc.agents import NodeChannel
from apiserver.rpc.certificates import CertificateHandlers
from apiserver.rpc.guard import Guard
from apiserver.rpc.guard import Surroundings as Passing
from apiserver.rpc.pods import PODS, pod_methods
from apiserver.rpc.reviews import SERVICES as REVIEWS
from apiserver.rpc.reviews import ReviewHandlers
from apiserver.rpc.service_accounts import ServiceAccountHandlers
from apiserver.storage.encrypted import EncryptedStorage
from apiserver.storage.port import Compacted, Storage
from apiserver.strategy import ServiceRange
from apiserver.tokens import signing
from apiserver.tokens.accounts import ACCOUNTS, AccountTokens
from apiserver.tokens.authenticator import TokenAuthenticator
from apiserver.tokens.bootstrap import BootstrapTokens
from apiserver.watchcache.freshness import Freshness

log = structlog.get_logger(__name__)

_SUFFIX_CHARACTERS = "bcdfghjklmnpqrstvwxz2456789"
DEFAULT_ISSUER = "https://kubernetes.default.svc.cluster.local"
CERTIFICATES = "steersman.certificates.v1.CertificateSigningRequests"
# A node's machine that is silent for so long is gone, and with it the logs that somebody follows.
NODE_SILENCE_MAX_S = 15


@dataclass(frozen=True)
class TokenSettings:
    """What tokens of service accounts are signed and judged with.

    Attributes:
        issuer: who signs, in the tokens' own words.
        signing_key: private key, PEM; None: no tokens are issued, and pods get none.
        keys: keys of tokens that are good, PEM; none: the one to the signing key.
        audiences: who this apiserver is, to tokens; none: the issuer.
    """

    issuer: str = DEFAULT_ISSUER
    signing_key: Path | None = None
    keys: Sequence[Path] = ()
    audiences: Sequence[str] = ()


@dataclass(frozen=True)
class AuditSettings:
    """What is written down of calls.

    Attributes:
        policy: file with the policy.
        path: file that is written to.
        bytes_max: size at which the file is turned over.
        kept: how many older files are kept.
    """

    policy: Path
    path: Path
    bytes_max: int = 100 * 1024 * 1024
    kept: int = 10


@dataclass(frozen=True)
class Settings:
    """What the flags say.

    Attributes:
        addresses: where gRPC is served: "host:port" or "unix:/path".
        tls: identity of the server; None serves plain text (tests on loopback only).
        metrics_address: "host:port" of /metrics; empty: nowhere.
        ranges: cluster addresses and node ports.
        advertise_address: where pods reach this apiserver; empty: they are not told.
        advertise_port: the port there.
        default_toleration_s: how long pods stay on a node that is not ready or unreachable.
        compaction_interval_s: how long the store keeps history at least; 0: the store is never told to forget.
        tokens: keys and names for tokens of service accounts.
        encryption: which values are encrypted in the store; None: none.
        audit: what is written down of calls; None: nothing.
        seats: how many calls are served at once, besides the administrators'.
    """

    addresses: Sequence[str]
    tls: TLSFiles | None
    metrics_address: str = ""
    ranges: ServiceRange = field(default_factory=ServiceRange)
    advertise_address: str = ""
    advertise_port: int = 6443
    default_toleration_s: int = 300
    compaction_interval_s: float = 300.0
    tokens: TokenSettings = field(default_factory=TokenSettings)
    encryption: Path | None = None
    audit: AuditSettings | None = None
    seats: int = 400


class Apiserver:
    """A running apiserver; make it, `start()`, `stop()`."""

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        *,
        node_channel: NodeChannel,
        clock: Clock | None = None,
        source: random.Random | None = None,
        metrics_registry: CollectorRegistry | None = None,
    ) -> None:
        """Wires everything; nothing runs yet.

        Args:
            settings: what the flags say.
            storage: the store.
            node_channel: opens channels to nodes.
            clock: where time comes from.
            source: where randomness comes from: uids, generated names, addresses.
            metrics_registry: where metrics are kept.
        """
        self._settings = settings
        self._metrics_registry = metrics_registry or CollectorRegistry()
        clock = clock or RealClock()
        self._sleep = clock.sleep
        chance = source or random.SystemRandom()
        self._encrypted: EncryptedStorage | None = None
        if settings.encryption is not None:
            storage = self._encrypted = EncryptedStorage(
                storage, encryption.read(settings.encryption), chance.randbytes
            )
        self._storage = storage
        around = Surroundings(
            storage=storage,
            clock=clock,
            new_uid=lambda: str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            new_suffix=lambda: "".join(chance.choice(_SUFFIX_CHARACTERS) for _ in range(5)),
            freshness=Freshness(storage),
            allocator=Allocator(storage, settings.ranges, chance),
        )
        self.registries = {kind.service: Registry(kind, strategy, around) for kind, strategy in strategies.discover()}
        authorizer = bootstrap_access.authorizer(self.registries)
        accounts = _account_tokens(settings.tokens, self.registries, clock, around.new_uid)
        tokens = TokenAuthenticator(accounts, BootstrapTokens(self.registries["steersman.core.v1.Secrets"], clock))
        namespaces = self.registries["steersman.core.v1.Namespaces"]
        around.admission.extend(
            [
                NamespaceLifecycle(namespaces.cache, storage, namespaces.prefix),
                NodeRestriction(),
                Escalation(authorizer),
                CertificateRequests(authorizer),
                ServiceAccounts(self.registries[ACCOUNTS], mount_tokens=accounts.issues),
                DefaultTolerationSeconds(settings.default_toleration_s),
                LimitRanger(self.registries["steersman.core.v1.LimitRanges"]),
                Priority(self.registries["steersman.scheduling.v1.PriorityClasses"]),
                DefaultStorageClass(self.registries["steersman.storage.v1.StorageClasses"]),
                PodSecurity(namespaces),
                # Last: what is refused anyway costs nothing.
                QuotaAdmission(self.registries, storage),
                NodeRoom(self.registries[PODS], self.registries["steersman.core.v1.Nodes"], storage),
            ]
        )
        metrics = Metrics(self._metrics_registry)
        for registry in self.registries.values():
            metrics.cached.labels(registry.resource).set_function(registry.cache.__len__)
            metrics.watchers.labels(registry.resource).set_function(registry.cache.count_watchers)
        self._audit_file: RotatedFile | None = None
        caches = {registry.resource: registry.cache for registry in self.registries.values()}
        guard = Guard(
            metrics,
            Passing(
                access=Access(authorizer, tokens),
                fairness=Fairness(settings.seats, fairness.Metrics(self._metrics_registry), clock.monotonic),
                audit=self._audit(settings.audit, around.new_uid, clock),
                now=clock.now,
                count=lambda resource: len(caches[resource]) if resource in caches else 0,
            ),
        )
        pods = pod_methods(self.registries, guard, clock, node_channel)
        certificates = CertificateHandlers(self.registries[CERTIFICATES], guard, clock)
        self._server = GrpcServer(
            [
                *resources.handlers(
                    self.registries.values(),
                    guard,
                    {
                        PODS: pods,
                        CERTIFICATES: certificates.methods(),
                        ACCOUNTS: ServiceAccountHandlers(self.registries, guard, accounts).methods(),
                    },
                ),
                *ReviewHandlers(guard, tokens.judge).handlers(),
                *metrics_rpc.MetricsHandlers(
                    self.registries[PODS], self.registries["steersman.core.v1.Nodes"], guard, node_channel
                ).handlers(),
                versions.handler(),
            ],
            services=[*self.registries, *REVIEWS, metrics_rpc.PODS, metrics_rpc.NODES, versions.SERVICE],
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._metrics_server: MetricsServer | None = None
        self.ports: list[int] = []

    def _audit(self, settings: AuditSettings | None, new_id: Callable[[], str], clock: Clock) -> AuditLog | None:
        if settings is None:
            return None
        file = RotatedFile(settings.path, bytes_max=settings.bytes_max, kept=settings.kept)
        self._audit_file = file
        return AuditLog(audit_policy.read(settings.policy), file, new_id, clock.now)

    async def start(self) -> None:
        """Listens, fills the caches and makes what every cluster has; serving once that is done.

        Returns when calls are accepted; until the store answers, health says NOT_SERVING.

        Raises:
            BindError: an address cannot be bound.
            TLSFileError: a certificate file cannot be read.
        """
        for address in self._settings.addresses:
            # Certificates are asked for and not demanded: a client may prove itself by a token.
            self.ports.append(self._server.listen(address, self._settings.tls, require_client=False))
        self._metrics_server = MetricsServer.start(
            self._settings.metrics_address, self._settings.tls, self._metrics_registry
        )
        await self._server.start()
        for registry in self.registries.values():
            self._tasks.append(asyncio.create_task(registry.cache.run(), name=f"cache {registry.resource}"))
        if self._settings.compaction_interval_s:
            compacting = compaction.run(
                self._storage, self._revision, interval_s=self._settings.compaction_interval_s, sleep=self._sleep
            )
            self._tasks.append(asyncio.create_task(compacting, name="compaction"))
        if self._encrypted is not None and self._settings.encryption is not None:
            sealing = encryption.follow(self._encrypted, self._settings.encryption, self._sleep)
            self._tasks.append(asyncio.create_task(sealing, name="encryption"))
        self._tasks.append(asyncio.create_task(self._become_ready(), name="become ready"))

    async def _become_ready(self) -> None:
        for registry in self.registries.values():
            await registry.cache.ready()
        first = str(ipaddress.ip_network(self._settings.ranges.cluster_cidr)[1])
        while True:
            try:
                await default_roles.ensure(
                    self.registries[bootstrap_access.CLUSTER_ROLES],
                    self.registries[bootstrap_access.CLUSTER_ROLE_BINDINGS],
                )
                await bootstrap_objects.ensure(
                    self.registries["steersman.core.v1.Namespaces"],
                    self.registries["steersman.core.v1.Services"],
                    self.registries["steersman.discovery.v1.EndpointSlices"],
                    self.registries["steersman.scheduling.v1.PriorityClasses"],
                    address=self._settings.advertise_address,
                    port=self._settings.advertise_port,
                    cluster_ip=first,
                )
                break
            except (errors.ApiserverError, Compacted) as error:
                log.warning("cannot create what every cluster has, trying again", error=str(error))
                await asyncio.sleep(0.2)
        await self._server.set_serving(True)
        log.info("serving", addresses=list(self._settings.addresses))

    def _revision(self) -> int:
        """The newest revision of the store that any cache has seen."""
        return max(registry.cache.revision for registry in self.registries.values())

    async def ready(self) -> None:
        """Returns when the apiserver serves."""
        await self._tasks[-1]

    async def ended(self) -> None:
        """Returns only when something that should go on for ever has ended, by raising what ended it.

        Raises:
            RuntimeError: a cache stopped following the store.
        """
        done, _ = await asyncio.wait(self._tasks[:-1], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            cause = None if task.cancelled() else task.exception()
            raise RuntimeError(f"{task.get_name()} has ended") from cause

    async def stop(self, grace_s: float = 1.0) -> None:
        """Stops: no new calls, running ones get `grace_s` seconds."""
        await self._server.stop(grace_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._metrics_server is not None:
            self._metrics_server.stop()
        if self._audit_file is not None:
            self._audit_file.close()


def _account_tokens(
    settings: TokenSettings, registries: Mapping[str, Registry], clock: Clock, new_id: Callable[[], str]
) -> AccountTokens:
    """Tokens of service accounts, as the settings say.

    Raises:
        KeyFileError: a key file cannot be used.
    """
    signer = None
    keys = [signing.read_public(path) for path in settings.keys]
    if settings.signing_key is not None:
        key = signing.read_private(settings.signing_key)
        signer = signing.Signer(key, settings.issuer)
        keys.append(key.public_key())
    verifier = signing.Verifier(keys, [settings.issuer])
    return AccountTokens(registries, signer, verifier, settings.audiences or (settings.issuer,), clock, new_id)


def node_channels(tls: TLSFiles | None) -> NodeChannel:
    """Opens channels to nodes with the apiserver's own certificate, and keeps them."""
    from steersman.service.http2.channel import Channel, Dialing
    from steersman.service.tls import client_context

    known: dict[tuple[str, str], Channel] = {}

    def open_channel(node: str, address: str) -> Channel:
        channel = known.get((node, address))
        if channel is None:
            identity = client_context(tls.authority, tls.certificate, tls.key) if tls is not None else None
            dialing = Dialing(tls=identity, server_name=node, silence_max_s=NODE_SILENCE_MAX_S)
            channel = known[(node, address)] = Channel(address, dialing)
        return channel

    return open_channel


async def serve(
    settings: Settings, endpoints: Sequence[str], store_tls: tuple[Path, Path, Path] | None, stop: asyncio.Event
) -> None:
    """Runs an apiserver on a store that speaks etcd v3 until `stop` is set.

    Args:
        settings: what the flags say.
        endpoints: the store's urls.
        store_tls: authority, certificate and key for the store.
        stop: set to stop.
    """
    from apiserver.storage.etcd import EtcdStorage, open_channels

    authority, certificate, key = store_tls or (None, None, None)
    channels = open_channels(endpoints, authority=authority, certificate=certificate, key=key)
    apiserver = Apiserver(settings, EtcdStorage(channels), node_channel=node_channels(settings.tls))
    await apiserver.start()
    ended, stopping = asyncio.create_task(apiserver.ended()), asyncio.create_task(stop.wait())
    await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    if stop.is_set():
        # Everything ends now, and that is no failure of anything.
        ended.cancel()
    await apiserver.stop()
    for channel in channels:
        await channel.close()
    if not stop.is_set():
        # Serving on with a cache that follows nothing would be worse than being away for a moment.
        await ended
