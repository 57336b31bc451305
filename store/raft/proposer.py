"""The port through which everything above asks for agreement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from etcd.log_pb2 import MembershipChange, Proposal
from etcd.peer_pb2 import Answer, Question

from store.machine import Outcome

# Field numbers of `Proposal`, which name the kind of a request that is passed on as bytes.
PUT = Proposal.PUT_FIELD_NUMBER
DELETE_RANGE = Proposal.DELETE_RANGE_FIELD_NUMBER
TXN = Proposal.TXN_FIELD_NUMBER
COMPACTION = Proposal.COMPACTION_FIELD_NUMBER
LEASE_GRANT = Proposal.LEASE_GRANT_FIELD_NUMBER
LEASE_REVOKE = Proposal.LEASE_REVOKE_FIELD_NUMBER
LEASE_CHECKPOINT = Proposal.LEASE_CHECKPOINT_FIELD_NUMBER
LEASE_EXPIRY = Proposal.LEASE_EXPIRY_FIELD_NUMBER
ALARM = Proposal.ALARM_FIELD_NUMBER
MEMBER_ATTRIBUTES = Proposal.MEMBER_ATTRIBUTES_FIELD_NUMBER


@dataclass(frozen=True)
class Status:
    """Where a member stands. `leader` is 0 while none is known; `index` is the last entry known to be agreed on."""

    member: int
    leader: int
    term: int
    index: int
    applied: int

    @property
    def is_leader(self) -> bool:
        """Whether this member believes that it leads."""
        return self.leader == self.member


class Proposer(Protocol):
    """Agreement on changes, in one order for all members.

    Whatever raises `RequestTimeout` or `LeaderChanged` may have happened or may still happen; the other errors mean
    that nothing happens.
    """

    def status(self) -> Status:
        """Where this member stands."""
        ...

    @property
    def term(self) -> int:
        """The term this member is in."""
        ...

    async def propose(self, kind: int, request: bytes) -> Outcome:
        """Has a request agreed on and applied here, and returns what became of it.

        Args:
            kind: field number of the request in `Proposal`.
            request: the request, serialised.

        Raises:
            TooManyRequests, RequestTimeout, LeaderChanged, Stopped: see the class.
        """
        ...

    async def barrier(self) -> None:
        """Returns when everything that was acknowledged anywhere before the call is applied here.

        Raises:
            RequestTimeout, LeaderChanged, Stopped: it cannot be told.
        """
        ...

    async def change_members(self, change: MembershipChange) -> Outcome:
        """Has a change of members agreed on. Raises as `propose`."""
        ...

    async def ask_leader(self, question: Question) -> Answer:
        """Has the leader answer what only it can; for members that do not lead.

        Raises:
            StoreError: what the leader refuses with.
            RequestTimeout: there is no leader, or it does not answer.
        """
        ...

    async def transfer_leadership(self, target: int) -> None:
        """Makes member `target` the leader.

        Raises:
            NotLeader: this member does not lead.
            BadTransferee: the target is no voter.
            RequestTimeout: it did not take over in time.
        """
        ...

    def on_leadership(self, listener: Callable[[bool], None]) -> None:
        """Calls `listener` with True when this member begins to lead, and with False when it ceases to."""
        ...
