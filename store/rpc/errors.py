"""What a client reads when the store refuses something. The texts are etcd's: its clients match on them."""

from __future__ import annotations

import grpc

from store import errors
from store.errors import StoreError

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
_RANGE = grpc.StatusCode.OUT_OF_RANGE
_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
_NOT_FOUND = grpc.StatusCode.NOT_FOUND

TABLE: dict[type[StoreError], tuple[grpc.StatusCode, str]] = {
    errors.EmptyKey: (_INVALID, "etcdserver: key is not provided"),
    errors.KeyNotFound: (_INVALID, "etcdserver: key not found"),
    errors.ValueProvided: (_INVALID, "etcdserver: value is provided"),
    errors.LeaseProvided: (_INVALID, "etcdserver: lease is provided"),
    errors.TooManyOperations: (_INVALID, "etcdserver: too many operations in txn request"),
    errors.DuplicateKey: (_INVALID, "etcdserver: duplicate key given in txn request"),
    errors.InvalidSortOption: (_INVALID, "etcdserver: invalid sort option"),
    errors.Compacted: (_RANGE, "etcdserver: mvcc: required revision has been compacted"),
    errors.FutureRevision: (_RANGE, "etcdserver: mvcc: required revision is a future revision"),
    errors.NoSpace: (_EXHAUSTED, "etcdserver: mvcc: database space exceeded"),
    errors.LeaseNotFound: (_NOT_FOUND, "etcdserver: requested lease not found"),
    errors.LeaseExists: (_PRECONDITION, "etcdserver: lease already exists"),
    errors.LeaseTTLTooLarge: (_RANGE, "etcdserver: too large lease TTL"),
    errors.RequestTooLarge: (_INVALID, "etcdserver: request is too large"),
    errors.TooManyRequests: (_EXHAUSTED, "etcdserver: too many requests"),
    errors.MemberExists: (_PRECONDITION, "etcdserver: member ID already exist"),
    errors.PeerURLExists: (_PRECONDITION, "etcdserver: Peer URLs already exists"),
    errors.BadMemberURLs: (_INVALID, "etcdserver: given member URLs are invalid"),
    errors.MemberNotFound: (_NOT_FOUND, "etcdserver: member not found"),
    errors.MemberNotLearner: (_PRECONDITION, "etcdserver: can only promote a learner member"),
    errors.LearnerNotReady: (
        _PRECONDITION,
        "etcdserver: can only promote a learner member which is in sync with leader",
    ),
    errors.TooManyLearners: (_PRECONDITION, "etcdserver: too many learner members in cluster"),
    errors.NotEnoughStartedMembers: (
        _PRECONDITION,
        "etcdserver: re-configuration failed due to not enough started members",
    ),
    errors.NotSupportedForLearner: (_PRECONDITION, "etcdserver: rpc not supported for learner"),
    errors.NoLeader: (_UNAVAILABLE, "etcdserver: no leader"),
    errors.NotLeader: (_PRECONDITION, "etcdserver: not leader"),
    errors.LeaderChanged: (_UNAVAILABLE, "etcdserver: leader changed"),
    errors.BadTransferee: (_PRECONDITION, "etcdserver: bad leader transferee"),
    errors.RequestTimeout: (_UNAVAILABLE, "etcdserver: request timed out"),
    errors.Stopped: (_UNAVAILABLE, "etcdserver: server stopped"),
    errors.Corrupt: (grpc.StatusCode.DATA_LOSS, "etcdserver: corrupt cluster"),
    errors.OtherCluster: (_PRECONDITION, "etcdserver: cluster ID mismatch"),
    errors.UnknownRequest: (grpc.StatusCode.UNIMPLEMENTED, "etcdserver: not capable"),
}


def describe(error: StoreError) -> tuple[grpc.StatusCode, str]:
    """Code and text for `error`."""
    return TABLE[type(error)]
