"""etcdserverpb.Cluster: who belongs to the cluster."""

from __future__ import annotations

from collections.abc import Callable

from etcd.log_pb2 import MembershipChange
from etcd.rpc_pb2 import (
    Member,
    MemberAddRequest,
    MemberAddResponse,
    MemberListRequest,
    MemberListResponse,
    MemberPromoteRequest,
    MemberPromoteResponse,
    MemberRemoveRequest,
    MemberRemoveResponse,
    MemberUpdateRequest,
    MemberUpdateResponse,
)

from store.errors import NotEnoughStartedMembers
from store.members import check_peer_urls, member_id
from store.raft.proposer import Proposer
from store.replica import Replica
from store.rpc.calls import Headers, UnaryMethod

SERVICE = "etcdserverpb.Cluster"


class Cluster:
    """Lists and changes the members. Changes are made by the leader, whichever member is asked."""

    def __init__(
        self,
        replica: Replica,
        proposer: Proposer,
        headers: Headers,
        new_identifier: Callable[[], int],
        *,
        can_grow: bool,
    ) -> None:
        """Serves from `replica`.

        Args:
            replica: what is read from.
            proposer: what changes go through.
            headers: this member's response headers.
            new_identifier: draws what tells a new member from earlier ones at its address.
            can_grow: whether other members can reach this one.
        """
        self._can_grow = can_grow
        self._replica = replica
        self._proposer = proposer
        self._headers = headers
        self._new_identifier = new_identifier

    def methods(self) -> dict[str, UnaryMethod]:
        """The service's methods by name."""
        return {
            "MemberList": self.member_list,
            "MemberAdd": self.member_add,
            "MemberRemove": self.member_remove,
            "MemberUpdate": self.member_update,
            "MemberPromote": self.member_promote,
        }

    async def member_list(self, raw: bytes) -> bytes:
        """Lists the members."""
        if MemberListRequest.FromString(raw).linearizable:
            await self._proposer.barrier()
        machine = self._replica.machine
        return self._headers.answer(MemberListResponse(members=machine.members.all()), machine.keyspace.revision)

    async def member_add(self, raw: bytes) -> bytes:
        """Adds a member that is to be started afterwards."""
        if not self._can_grow:
            # With a second member that cannot reach the first there would be no majority any more.
            raise NotEnoughStartedMembers
        request = MemberAddRequest.FromString(raw)
        urls = check_peer_urls(request.peerURLs)
        member = Member(ID=member_id(urls, str(self._new_identifier())), peerURLs=urls, isLearner=request.isLearner)
        kind = MembershipChange.ADD_LEARNER if request.isLearner else MembershipChange.ADD_VOTER
        members, revision = await self._change(MembershipChange(kind=kind, member=member))
        return self._headers.answer(MemberAddResponse(member=member, members=members), revision)

    async def member_remove(self, raw: bytes) -> bytes:
        """Removes a member for good."""
        member = Member(ID=MemberRemoveRequest.FromString(raw).ID)
        members, revision = await self._change(MembershipChange(kind=MembershipChange.REMOVE, member=member))
        return self._headers.answer(MemberRemoveResponse(members=members), revision)

    async def member_update(self, raw: bytes) -> bytes:
        """Notes that a member has moved."""
        request = MemberUpdateRequest.FromString(raw)
        member = Member(ID=request.ID, peerURLs=check_peer_urls(request.peerURLs))
        members, revision = await self._change(MembershipChange(kind=MembershipChange.UPDATE, member=member))
        return self._headers.answer(MemberUpdateResponse(members=members), revision)

    async def member_promote(self, raw: bytes) -> bytes:
        """Makes a learner that has caught up a voter."""
        member = Member(ID=MemberPromoteRequest.FromString(raw).ID)
        members, revision = await self._change(MembershipChange(kind=MembershipChange.PROMOTE, member=member))
        return self._headers.answer(MemberPromoteResponse(members=members), revision)

    async def _change(self, change: MembershipChange) -> tuple[list[Member], int]:
        outcome = await self._proposer.change_members(change)
        if outcome.error is not None:
            raise outcome.error
        return list(outcome.response.members), outcome.revision
