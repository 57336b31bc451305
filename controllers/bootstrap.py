"""Wires all control loops into one process: one connection, one informer per kind."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog
from prometheus_client import CollectorRegistry
from steersman import kinds
from steersman.client import Api
from steersman.election import Terms
from steersman.runtime import Runtime, run_until
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
        election: durations of the election among several such processes; None: this one works without one.
    """

    node: node.Settings
    event_ttl_s: float = 3600.0
    root_ca: str = ""
    signer: Signer | None = None
    election: Terms | None = None


NAME, LEASE_NAMESPACE = "kube-controller-manager", "kube-system"
# Kinds that own nothing and are owned by nothing worth following, and change often.
_NOT_COLLECTED = frozenset({"Event", "Lease"})


def control(runtime: Runtime, settings: Settings) -> None:
    """Sets all control loops up."""
    DeploymentController(runtime)
    ReplicaSetController(runtime)
    EndpointSliceController(runtime)
    NodeController(runtime, settings.node)
    GarbageCollector(runtime, [kind for kind in kinds.every() if kind.kind not in _NOT_COLLECTED])
    NamespaceController(runtime)
    ServiceAccountController(runtime)
    ResourceQuotaController(runtime, [kind for kind in kinds.every() if kind.kind != "Event"])
    ClusterRoleController(runtime)
    TokenCleaner(runtime)
    if settings.root_ca:
        RootCAPublisher(runtime, settings.root_ca)
    if settings.signer is not None:
        CertificateController(runtime, settings.signer)
    ttl = timedelta(seconds=settings.event_ttl_s)
    runtime.background(partial(eventttl.run, runtime.api, runtime.clock, ttl))


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
    runtime = Runtime(api, NAME, registry=registry, election=settings.election, namespace=LEASE_NAMESPACE)
    control(runtime, settings)

    async def ready() -> None:
        await server.set_serving(True)

    try:
        await run_until(runtime, stop, ready)
    finally:
        log.info("stopping")
        await server.stop(0.2)
    if metrics is not None:
        metrics.stop()
    await api.close()
