"""What can go wrong in the store, as facts. `store.rpc.errors` says what a client gets to read."""

from __future__ import annotations


class StoreError(Exception):
    """Base of everything the store refuses. Subclasses carry the facts as attributes."""


class EmptyKey(StoreError):
    """A request names no key."""


class KeyNotFound(StoreError):
    """A put that keeps value or lease found no key, or a transaction has an empty step."""


class ValueProvided(StoreError):
    """A put asks to keep the value and brings one."""


class LeaseProvided(StoreError):
    """A put asks to keep the lease and brings one."""


class TooManyOperations(StoreError):
    """A transaction has more steps than allowed."""


class DuplicateKey(StoreError):
    """A transaction would change the same key twice."""


class InvalidSortOption(StoreError):
    """A range asks for an order that does not exist."""


class Compacted(StoreError):
    """The history asked for is gone; `compact_revision` is where it begins now."""

    def __init__(self, compact_revision: int) -> None:
        super().__init__(compact_revision)
        self.compact_revision = compact_revision


class FutureRevision(StoreError):
    """The history asked for has not happened yet."""


class NoSpace(StoreError):
    """The store is at its quota."""


class LeaseNotFound(StoreError):
    """No such lease."""


class LeaseExists(StoreError):
    """The lease's number is taken."""


class LeaseTTLTooLarge(StoreError):
    """A lease would live longer than allowed."""


class RequestTooLarge(StoreError):
    """A change is larger than the limit."""


class TooManyRequests(StoreError):
    """More changes wait than the store is willing to hold."""


class MemberExists(StoreError):
    """The member's number is taken."""


class PeerURLExists(StoreError):
    """Another member has this address."""


class BadMemberURLs(StoreError):
    """A member's addresses cannot be read."""


class MemberNotFound(StoreError):
    """No such member."""


class MemberNotLearner(StoreError):
    """Only a learner can be promoted."""


class LearnerNotReady(StoreError):
    """The learner has not caught up with the leader."""


class TooManyLearners(StoreError):
    """One learner at a time."""


class NotEnoughStartedMembers(StoreError):
    """The change would leave the cluster without a majority that runs."""


class NotSupportedForLearner(StoreError):
    """A learner answers only reads that need no agreement."""


class NoLeader(StoreError):
    """The cluster has no leader at the moment; nothing was changed."""


class NotLeader(StoreError):
    """Only the leader can do this."""


class LeaderChanged(StoreError):
    """The leader changed under the request; whether it took effect is not known."""


class BadTransferee(StoreError):
    """The member cannot take over leadership."""


class RequestTimeout(StoreError):
    """No majority answered in time; whether the change took effect is not known."""


class Stopped(StoreError):
    """The member is stopping."""


class Corrupt(StoreError):
    """A member's data differs from the others'."""


class OtherCluster(StoreError):
    """A member of another cluster asks."""


class UnknownRequest(StoreError):
    """A log entry holds a request that this version does not know."""


class WatchIdTaken(StoreError):
    """The stream already has a watch of this number."""
