"""Everything above agreement: the services, and what keeps leases, watches and history in order.

The same for every Proposer, so that it is tested with and without Raft.
"""

from __future__ import annotations

import asyncio
import random
import time

from etcd.log_pb2 import Identity
from steersman.service.server import GrpcServer

from store.compactor import Compactor, Retention
from store.lease.keeper import LeaseKeeper
from store.quota import Quota
from store.raft.proposer import Proposer
from store.replica import Replica
from store.rpc import cluster, kv, lease, maintenance, watch
from store.rpc.calls import CallCounts, Headers
from store.rpc.server import ServiceTable
from store.scrubber import Scrubber
from store.settings import Settings
from store.watch.hub import WatchHub


class Front:
    """The services of one member. `server` is ready for ports to be added."""

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        replica: Replica,
        proposer: Proposer,
        *,
        history: asyncio.Lock,
        upkeep: maintenance.Upkeep,
    ) -> None:
        """Puts the services together; nothing runs before `start`.

        Args:
            settings: limits and intervals.
            identity: whose services.
            replica: what is read from.
            proposer: what changes go through.
            history: held by whoever needs history to stay.
            upkeep: what the member can do with its own data.
        """
        self.calls = CallCounts()
        self.hub = WatchHub()
        self.scrubber = Scrubber(replica, history)
        self.keeper = LeaseKeeper(replica, proposer, time.monotonic)
        replica.on_change(self.hub.changed, self.hub.replaced)
        headers = Headers(identity.cluster_id, identity.member_id, lambda: proposer.term)
        self.quota = Quota(replica, proposer, identity.member_id, settings.quota_bytes)
        retention = Retention(settings.auto_compaction_mode, settings.auto_compaction_retention)
        self.compactor = Compactor(replica, proposer, retention, time.monotonic)
        self._compacts = settings.auto_compaction_retention > 0
        keys = kv.KV(
            replica,
            proposer,
            headers,
            self.quota,
            request_bytes_max=settings.request_bytes_max,
            txn_operations_max=settings.txn_operations_max,
            scrubbed=self.scrubber.finished,
        )
        self.watch = watch.Watch(replica, self.hub, headers, progress_interval_s=settings.progress_interval_s)
        leases = lease.Lease(replica, proposer, self.keeper, headers, lambda: random.getrandbits(62) + 1)
        care = maintenance.Maintenance(
            replica, proposer, headers, upkeep, quota_bytes=settings.quota_bytes, history=history
        )
        members = cluster.Cluster(
            replica, proposer, headers, lambda: random.getrandbits(62), can_grow=settings.serve_peers
        )
        table = ServiceTable(self.calls)
        table.add(kv.SERVICE, keys.methods())
        table.add(watch.SERVICE, {}, self.watch.streams())
        table.add(lease.SERVICE, leases.methods(), leases.streams())
        table.add(cluster.SERVICE, members.methods())
        table.add(maintenance.SERVICE, care.methods(), care.streams())
        self.server: GrpcServer = table.server()

    async def start(self) -> None:
        """Begins to serve."""
        self.scrubber.start()
        self.keeper.start()
        self.quota.start()
        if self._compacts:
            self.compactor.start()
        await self.server.start()

    async def stop(self) -> None:
        """Ends watches, lets running calls end, and stops."""
        self.watch.close()
        await self.server.stop()
        await self.keeper.stop()
        await self.quota.stop()
        await self.compactor.stop()
        await self.scrubber.stop()
