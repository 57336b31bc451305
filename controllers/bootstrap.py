"""Wires all control loops into one process: one connection, one informer per kind."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from steersman import kinds
from steersman.client import Api
from steersman.clock import Clock, RealClock
from steersman.informer import Informer
from steersman.reconcile import Controller, Metrics
from steersman.recorder import Recorder
from steersman.service.metrics import MetricsServer
from steersman.service.server import GrpcServer
from steersman.service.tls import TLSFiles

from controllers.account.controller import ServiceAccountController
from controllers.bootstraptokens.controller import TokenCleaner
from controllers.certificates.controller import CertificateController, Signer
from controllers.clusterroles.controller import ClusterRoleController
from controllers.deployment.controller import DeploymentController
from controllers.endpointslice.controller import EndpointSliceController
from controllers.eventttl import controller as eventttl
from controllers.garbage.controller import GarbageCollector
from controllers.namespace.controller import NamespaceController
from controllers.node import controller as node
from controllers.node.controller import NodeController
from controllers.replicaset.controller import ReplicaSetController
from controllers.resourcequota.controller import ResourceQuotaController
from controllers.rootca.controller import RootCAPublisher

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Settings:
    """What the flags say.

    Attributes:
        node: of the node controller.
        event_ttl_s: how long events are kept, seconds.
        root_ca: authority that pods trust the apiserver by, PEM; empty: it is not published.
        signer: signs certificates of nodes; None: nobody here does.
    """

    node: node.Settings
    event_ttl_s: float = 3600.0
    root_ca: str = ""
    signer: Signer | None = None


# Kinds that own nothing and are owned by nothing worth following, and change often.
_NOT_COLLECTED = frozenset({"Event", "Lease"})


class Controllers:
    """All control loops; make it, `start()`, `stop()`."""

    def __init__(
        self, api: Api, settings: Settings, *, clock: Clock | None = None, registry: CollectorRegistry | None = None
    ) -> None:
        clock = clock or RealClock()
        metrics = Metrics(registry or CollectorRegistry())
        self._api = api
        self._clock = clock
        self._settings = settings
        self._recorder = Recorder(api, "controller-manager", clock=clock)
        self._informers: dict[str, Informer[Any]] = {
            kind.service: Informer(api.resource(kind), clock=clock) for kind in kinds.every() if kind.kind != "Event"
        }

        def informer(api_version: str, kind: str) -> Informer[Any]:
            return self._informers[kinds.by_api(api_version, kind).service]

        pods, nodes = informer("v1", "Pod"), informer("v1", "Node")
        replica_sets = informer("apps/v1", "ReplicaSet")
        collected = {kind: self._informers[kind.service] for kind in kinds.every() if kind.kind not in _NOT_COLLECTED}
        self._loops: list[Controller[Any]] = [
            DeploymentController(
                api, informer("apps/v1", "Deployment"), replica_sets, self._recorder, clock, metrics
            ).controller,
            ReplicaSetController(api, replica_sets, pods, self._recorder, clock, metrics).controller,
            EndpointSliceController(
                api,
                informer("v1", "Service"),
                pods,
                informer("discovery.k8s.io/v1", "EndpointSlice"),
                nodes,
                clock,
                metrics,
            ).controller,
            NodeController(
                api,
                nodes,
                informer("coordination.k8s.io/v1", "Lease"),
                pods,
                self._recorder,
                clock,
                metrics,
                settings.node,
            ).controller,
            GarbageCollector(api, collected, clock, metrics).controller,
            NamespaceController(api, informer("v1", "Namespace"), clock, metrics).controller,
            ServiceAccountController(
                api, informer("v1", "Namespace"), informer("v1", "ServiceAccount"), clock, metrics
            ).controller,
            ResourceQuotaController(
                api,
                {kind: self._informers[kind.service] for kind in kinds.every() if kind.service in self._informers},
                informer("v1", "ResourceQuota"),
                clock,
                metrics,
            ).controller,
            ClusterRoleController(
                api, informer("rbac.authorization.k8s.io/v1", "ClusterRole"), clock, metrics
            ).controller,
            TokenCleaner(api, informer("v1", "Secret"), clock, metrics).controller,
        ]
        if settings.root_ca:
            publisher = RootCAPublisher(
                api, informer("v1", "Namespace"), informer("v1", "ConfigMap"), settings.root_ca, clock, metrics
            )
            self._loops.append(publisher.controller)
        if settings.signer is not None:
            requests = informer("certificates.k8s.io/v1", "CertificateSigningRequest")
            certificates = CertificateController(
                api,
                requests,
                nodes,
                informer("v1", "Service"),
                informer("discovery.k8s.io/v1", "EndpointSlice"),
                settings.signer,
                clock,
                metrics,
            )
            self._loops.append(certificates.controller)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Follows the apiserver, and starts the loops once every informer is complete."""
        for informer in self._informers.values():
            self._tasks.append(asyncio.create_task(informer.run()))
        self._tasks.append(asyncio.create_task(self._recorder.run()))
        await asyncio.gather(*(informer.synced() for informer in self._informers.values()))
        for loop in self._loops:
            self._tasks.append(asyncio.create_task(loop.run(), name=loop.name))
        ttl = timedelta(seconds=self._settings.event_ttl_s)
        self._tasks.append(asyncio.create_task(eventttl.run(self._api, self._clock, ttl)))
        log.info("controllers run", loops=[loop.name for loop in self._loops])

    async def ended(self) -> None:
        """Returns only when a loop or an informer has ended, by raising what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            cause = None if task.cancelled() else task.exception()
            raise RuntimeError(f"{task.get_name()} has ended") from cause

    async def stop(self) -> None:
        """Stops all loops; what was recorded is sent first."""
        await self._recorder.flush()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def serve(
    api: Api, settings: Settings, bind_address: str, metrics_address: str, tls: TLSFiles | None, stop: asyncio.Event
) -> None:
    """Runs the controllers, with health, reflection and metrics, until `stop` is set.

    Raises:
        BindError: an address cannot be bound.
    """
    registry = CollectorRegistry()
    server = GrpcServer([], services=[])
    server.listen(bind_address, tls)
    metrics = MetricsServer.start(metrics_address, tls, registry)
    await server.start()
    controllers = Controllers(api, settings, registry=registry)
    starting = asyncio.create_task(controllers.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set():
        await starting
        await server.set_serving(True)
        ended = asyncio.create_task(controllers.ended())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            # One loop that has ended looks like a cluster that does nothing; a restart is noticed and helps.
            await ended
    log.info("stopping")
    starting.cancel()
    await server.stop(0.2)
    await controllers.stop()
    if metrics is not None:
        metrics.stop()
    await api.close()
