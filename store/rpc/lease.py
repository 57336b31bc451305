"""etcdserverpb.Lease: time limits that keys can hang on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from etcd.peer_pb2 import Question
from etcd.rpc_pb2 import (
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseLeasesRequest,
    LeaseLeasesResponse,
    LeaseRevokeRequest,
    LeaseStatus,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)

from store.errors import LeaseNotFound, NotLeader
from store.lease.keeper import LeaseKeeper
from store.raft import proposer as kinds
from store.raft.proposer import Proposer
from store.replica import Replica
from store.rpc.calls import Headers, StreamMethod, UnaryMethod

SERVICE = "etcdserverpb.Lease"


class Lease:
    """Grants and ends leases through the log; their time is the leader's business."""

    def __init__(
        self,
        replica: Replica,
        proposer: Proposer,
        keeper: LeaseKeeper,
        headers: Headers,
        new_identifier: Callable[[], int],
    ) -> None:
        """Serves from `replica`; `new_identifier` draws numbers from 1 to 2^63 - 1."""
        self._replica = replica
        self._proposer = proposer
        self._keeper = keeper
        self._headers = headers
        self._new_identifier = new_identifier

    def methods(self) -> dict[str, UnaryMethod]:
        """The service's methods with one response, by name."""
        return {
            "LeaseGrant": self.grant,
            "LeaseRevoke": self.revoke,
            "LeaseTimeToLive": self.time_to_live,
            "LeaseLeases": self.leases,
        }

    def streams(self) -> dict[str, StreamMethod]:
        """The service's methods with a stream of responses, by name."""
        return {"LeaseKeepAlive": self.keep_alive}

    async def grant(self, raw: bytes) -> bytes:
        """Makes a lease."""
        request = LeaseGrantRequest.FromString(raw)
        if request.ID == 0:
            request.ID = self._new_identifier()
            raw = request.SerializeToString()
        return self._headers.answer_outcome(await self._proposer.propose(kinds.LEASE_GRANT, raw))

    async def revoke(self, raw: bytes) -> bytes:
        """Ends a lease and deletes its keys."""
        LeaseRevokeRequest.FromString(raw)
        return self._headers.answer_outcome(await self._proposer.propose(kinds.LEASE_REVOKE, raw))

    async def keep_alive(self, requests: AsyncIterator[bytes], context: Any) -> None:
        """Renews leases, one for each request of the stream."""
        async for raw in requests:
            request = LeaseKeepAliveRequest.FromString(raw)
            try:
                ttl = await self._keep(request.ID)
            except LeaseNotFound:
                ttl = 0
            response = LeaseKeepAliveResponse(ID=request.ID, TTL=ttl)
            await context.write(self._headers.answer(response, self._replica.machine.keyspace.revision))

    async def _keep(self, identifier: int) -> int:
        try:
            return await self._keeper.keep_alive(identifier)
        except NotLeader:
            return (await self._proposer.ask_leader(Question(keep_alive=identifier))).ttl

    async def _remaining(self, identifier: int) -> int:
        try:
            return self._keeper.remaining(identifier)
        except NotLeader:
            return (await self._proposer.ask_leader(Question(time_to_live=identifier))).ttl

    async def time_to_live(self, raw: bytes) -> bytes:
        """Tells how long a lease has left, and which keys hang on it."""
        request = LeaseTimeToLiveRequest.FromString(raw)
        await self._proposer.barrier()
        machine = self._replica.machine
        try:
            lease = machine.leases.get(request.ID)
            response = LeaseTimeToLiveResponse(
                ID=request.ID, TTL=await self._remaining(request.ID), grantedTTL=lease.ttl
            )
            if request.keys:
                response.keys.extend(sorted(lease.keys))
        except LeaseNotFound:
            response = LeaseTimeToLiveResponse(ID=request.ID, TTL=-1)
        return self._headers.answer(response, machine.keyspace.revision)

    async def leases(self, raw: bytes) -> bytes:
        """Lists the leases."""
        LeaseLeasesRequest.FromString(raw)
        await self._proposer.barrier()
        machine = self._replica.machine
        response = LeaseLeasesResponse(leases=[LeaseStatus(ID=lease.identifier) for lease in machine.leases.all()])
        return self._headers.answer(response, machine.keyspace.revision)
