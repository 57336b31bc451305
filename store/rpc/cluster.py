"""etcdserverpb.Cluster: who belongs to the cluster."""

from __future__ import annotations

from etcd.rpc_pb2 import MemberListRequest, MemberListResponse

from store.raft.proposer import Proposer
from store.replica import Replica
from store.rpc.calls import Headers, UnaryMethod

SERVICE = "etcdserverpb.Cluster"


class Cluster:
    """Lists the members."""

    def __init__(self, replica: Replica, proposer: Proposer, headers: Headers) -> None:
        self._replica = replica
        self._proposer = proposer
        self._headers = headers

    def methods(self) -> dict[str, UnaryMethod]:
        """The service's methods by name."""
        return {"MemberList": self.member_list}

    async def member_list(self, raw: bytes) -> bytes:
        """Lists the members."""
        if MemberListRequest.FromString(raw).linearizable:
            await self._proposer.barrier()
        machine = self._replica.machine
        return self._headers.answer(MemberListResponse(members=machine.members.all()), machine.keyspace.revision)
