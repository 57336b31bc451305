"""The Proposer's twin: one member, in memory, agreeing with itself at once."""

from __future__ import annotations

from collections.abc import Callable

from etcd.log_pb2 import MembershipChange, Proposal
from etcd.peer_pb2 import Answer, Question

from store.errors import BadTransferee, NotLeader
from store.machine import Outcome
from store.mvcc.version import field
from store.raft.proposer import Status
from store.replica import Replica


class MemoryProposer:
    """Applies each proposal in the call itself. Nothing survives it."""

    def __init__(self, replica: Replica, member: int) -> None:
        self._replica = replica
        self._member = member
        self._index = replica.machine.applied

    def status(self) -> Status:
        """As the port says."""
        return Status(self._member, self._member, 1, self._index, self._index)

    @property
    def term(self) -> int:
        """As the port says: there is only one."""
        return 1

    async def propose(self, kind: int, request: bytes) -> Outcome:
        """As the port says."""
        self._index += 1
        proposal = Proposal.FromString(field(kind, request))
        return self._replica.apply(self._index, 1, [proposal])[0]

    async def barrier(self) -> None:
        """As the port says: there is nobody to wait for."""

    async def change_members(self, change: MembershipChange) -> Outcome:
        """As the port says."""
        self._index += 1
        return self._replica.apply_membership(self._index, change)

    async def ask_leader(self, question: Question) -> Answer:
        """As the port says, which has no use for one that always leads."""
        raise NotLeader

    async def transfer_leadership(self, target: int) -> None:
        """As the port says: only to itself."""
        if target != self._member:
            raise BadTransferee

    def on_leadership(self, listener: Callable[[bool], None]) -> None:
        """As the port says: it always leads."""
        listener(True)
