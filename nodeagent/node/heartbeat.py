"""The node's lease: renewed every few seconds, so that the cluster notices when the node is lost."""

from __future__ import annotations

import structlog
from steersman.client import Api
from steersman.clock import Clock, to_timestamp
from steersman.coordination.v1.lease_pb2 import Lease
from steersman.core.v1.node_pb2 import Node
from steersman.errors import AlreadyExists, ApiError, Conflict, NotFound
from steersman.meta.v1.object_meta_pb2 import OwnerReference
from steersman.retry import Backoff

from nodeagent.config import AgentConfig
from nodeagent.metrics import Metrics

NAMESPACE = "kube-node-lease"

log = structlog.get_logger(__name__)


class Heartbeat:
    """Keeps the lease of one node."""

    def __init__(self, api: Api, config: AgentConfig, clock: Clock, metrics: Metrics) -> None:
        self._api = api
        self._config = config
        self._clock = clock
        self._metrics = metrics
        self._lease: Lease | None = None

    async def run(self, node: Node) -> None:
        """Renews the lease until cancelled; it belongs to `node` and goes with it."""
        backoff = Backoff(base_s=0.2, limit_s=min(7.0, self._config.lease_renew_s))
        while True:
            try:
                await self._renew(node)
            except (Conflict, NotFound) as error:
                # Deleted or written by somebody else; without the namespace there cannot be a lease yet.
                log.debug("lease not renewed", error=error.message)
                self._lease = None
                self._metrics.heartbeats.labels("conflict").inc()
                await self._clock.sleep(backoff.next_s())
            except ApiError as error:
                self._metrics.heartbeats.labels("error").inc()
                log.warning("lease not renewed", error=error.message)
                await self._clock.sleep(backoff.next_s())
            else:
                self._metrics.heartbeats.labels("ok").inc()
                backoff.reset()
                await self._clock.sleep(self._config.lease_renew_s)

    async def _renew(self, node: Node) -> None:
        now = to_timestamp(self._clock.now())
        if self._lease is None:
            try:
                self._lease = await self._api.leases.get(self._config.node_name, namespace=NAMESPACE)
            except NotFound:
                lease = Lease()
                lease.metadata.name = self._config.node_name
                lease.metadata.namespace = NAMESPACE
                lease.metadata.owner_references.append(
                    OwnerReference(api_version="v1", kind="Node", name=node.metadata.name, uid=node.metadata.uid)
                )
                self._fill(lease)
                lease.spec.renew_time.CopyFrom(now)
                try:
                    self._lease = await self._api.leases.create(lease)
                except AlreadyExists as error:
                    raise Conflict(error.message) from error
                return
        fresh = Lease()
        fresh.CopyFrom(self._lease)
        self._fill(fresh)
        fresh.spec.renew_time.CopyFrom(now)
        self._lease = await self._api.leases.update(fresh)

    def _fill(self, lease: Lease) -> None:
        lease.spec.holder_identity = self._config.node_name
        lease.spec.lease_duration_seconds = self._config.lease_duration_s
