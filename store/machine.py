"""The state machine: everything the members agree on, changed by log entries alone.

`StateMachine.apply` is a function of the state and the entry: no clock, no randomness, nothing from outside. Members
that apply the same entries hold the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from etcd.log_pb2 import LeaseExpiry, MemberAttributes, MembershipChange, Proposal
from etcd.rpc_pb2 import (
    NONE,
    NOSPACE,
    AlarmMember,
    AlarmRequest,
    AlarmResponse,
    AlarmType,
    CompactionRequest,
    CompactionResponse,
    DeleteRangeRequest,
    DeleteRangeResponse,
    LeaseCheckpointRequest,
    LeaseCheckpointResponse,
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    MemberListResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    ResponseOp,
    TxnRequest,
    TxnResponse,
)
from google.protobuf.message import Message

from store.errors import KeyNotFound, NoSpace, StoreError, UnknownRequest
from store.lease.table import LeaseTable
from store.members import Members
from store.mvcc import ranges
from store.mvcc.interval import Interval
from store.mvcc.keyspace import Keyspace
from store.mvcc.txn import Path
from store.mvcc.version import Change


class Outcome:
    """What became of one proposal: a response without member fields in its header, or the reason against it."""

    __slots__ = ("changes", "error", "response", "revision")

    def __init__(self, response: Any, error: StoreError | None, revision: int, changes: Sequence[Change] = ()) -> None:
        self.response = response
        self.error = error
        self.revision = revision
        self.changes = changes


class StateMachine:
    """Keys, leases, members and alarms, and the index of the last log entry that went into them."""

    def __init__(self, members: Members | None = None, first_revision: int = 1) -> None:
        self.applied = 0
        self.keyspace = Keyspace(first_revision)
        self.leases = LeaseTable()
        self.members = members or Members()
        self.alarms: set[tuple[int, AlarmType]] = set()
        self._handlers: dict[str, Callable[[Any, int, list[Change]], Message]] = {
            "put": self._put,
            "delete_range": self._delete_range,
            "txn": self._txn,
            "compaction": self._compact,
            "lease_grant": self._grant,
            "lease_revoke": self._revoke,
            "lease_checkpoint": self._checkpoint,
            "lease_expiry": self._expire,
            "alarm": self._alarm,
            "member_attributes": self._introduce,
        }

    def apply(self, index: int, term: int, proposals: Iterable[Proposal]) -> list[Outcome]:
        """Applies the proposals of log entry `index`, one after the other."""
        outcomes = [self._apply_one(term, proposal) for proposal in proposals]
        self.applied = index
        return outcomes

    def apply_membership(self, index: int, change: MembershipChange) -> Outcome:
        """Applies a change of members that log entry `index` holds."""
        error = self.members.apply(change)
        self.applied = index
        response = None if error else MemberListResponse(members=self.members.all())
        return Outcome(response, error, self.keyspace.revision)

    def skip(self, index: int) -> None:
        """Notes that entry `index` held nothing for this state."""
        self.applied = index

    def _apply_one(self, term: int, proposal: Proposal) -> Outcome:
        kind = proposal.WhichOneof("request")
        if kind is None:
            return Outcome(None, UnknownRequest(), self.keyspace.revision)
        changes: list[Change] = []
        try:
            response = self._handlers[kind](getattr(proposal, kind), term, changes)
        except StoreError as error:
            return Outcome(None, error, self.keyspace.revision)
        if changes:
            self.keyspace.finish(changes)
        revision = self.keyspace.revision
        return Outcome(response, None, revision, changes)

    # -- keys --------------------------------------------------------------------------------------------------

    def _put(self, request: PutRequest, _term: int, changes: list[Change]) -> PutResponse:
        self._refuse_when_full()
        self._check_put(request)
        return self._run_put(request, changes)

    def _delete_range(self, request: DeleteRangeRequest, _term: int, changes: list[Change]) -> DeleteRangeResponse:
        return self._run_delete(request, changes)

    def _txn(self, request: TxnRequest, _term: int, changes: list[Change]) -> TxnResponse:
        path = Path(self.keyspace, request)
        # All of it is judged before any of it is done, so that a refused transaction leaves no trace.
        for step in path.flatten():
            if step.HasField("request_put"):
                self._refuse_when_full()
                self._check_put(step.request_put)
            elif step.HasField("request_range"):
                self.keyspace.check_revision(step.request_range.revision, self.keyspace.revision)
        return self._run_path(path, changes)

    def read_txn(self, request: TxnRequest) -> TxnResponse:
        """Runs a transaction that changes nothing (see `changes_nothing`), without the log.

        Raises:
            FutureRevision, Compacted: a range in it cannot be read.
        """
        path = Path(self.keyspace, request)
        for step in path.flatten():
            self.keyspace.check_revision(step.request_range.revision, self.keyspace.revision)
        return self._run_path(path, [])

    def _run_path(self, path: Path, changes: list[Change]) -> TxnResponse:
        response = TxnResponse(succeeded=path.succeeded)
        for step, nested in zip(path.steps, path.nested, strict=True):
            answer: ResponseOp = response.responses.add()
            if nested is not None:
                answer.response_txn.CopyFrom(self._run_path(nested, changes))
            elif step.HasField("request_put"):
                answer.response_put.CopyFrom(self._run_put(step.request_put, changes))
            elif step.HasField("request_range"):
                answer.response_range.CopyFrom(self._run_range(step.request_range, changes))
            else:
                answer.response_delete_range.CopyFrom(self._run_delete(step.request_delete_range, changes))
            inner = getattr(answer, str(answer.WhichOneof("response")))
            inner.header.revision = self.keyspace.revision + bool(changes)
        return response

    def _check_put(self, request: PutRequest) -> None:
        if request.lease:
            self.leases.get(request.lease)
        if (request.ignore_value or request.ignore_lease) and self.keyspace.get(request.key) is None:
            raise KeyNotFound

    def _run_put(self, request: PutRequest, changes: list[Change]) -> PutResponse:
        key, value, lease = request.key, request.value, request.lease
        if request.ignore_value or request.ignore_lease:
            previous = self.keyspace.get(key)
            if previous is None:
                raise KeyNotFound
            if request.ignore_value:
                value = previous.value
            if request.ignore_lease:
                lease = previous.lease
        change = self.keyspace.put(key, value, lease, self.keyspace.revision + 1, len(changes))
        changes.append(change)
        before = change.before
        self.leases.move(key, before.lease if before is not None else 0, lease)
        if request.prev_kv and before is not None:
            return PutResponse(prev_kv=before.message())
        return PutResponse()

    def _run_range(self, request: RangeRequest, changes: list[Change]) -> RangeResponse:
        newest = self.keyspace.revision + bool(changes)
        return ranges.read(self.keyspace, request, newest).message()

    def _run_delete(self, request: DeleteRangeRequest, changes: list[Change]) -> DeleteRangeResponse:
        keys = [version.key for version in self.keyspace.select(Interval(request.key, request.range_end))]
        response = DeleteRangeResponse(deleted=len(keys))
        for key in keys:
            before = self._delete(key, changes)
            if request.prev_kv and before is not None:
                response.prev_kvs.append(before.message())
        return response

    def _delete(self, key: bytes, changes: list[Change]) -> Any:
        change = self.keyspace.delete(key, self.keyspace.revision + 1, len(changes))
        if change is None or change.before is None:
            return None
        changes.append(change)
        self.leases.move(key, change.before.lease, 0)
        return change.before

    def _compact(self, request: CompactionRequest, _term: int, _changes: list[Change]) -> CompactionResponse:
        self.keyspace.compact(request.revision)
        return CompactionResponse()

    # -- leases ------------------------------------------------------------------------------------------------

    def _grant(self, request: LeaseGrantRequest, _term: int, _changes: list[Change]) -> LeaseGrantResponse:
        self._refuse_when_full()
        lease = self.leases.grant(request.ID, request.TTL)
        return LeaseGrantResponse(ID=lease.identifier, TTL=lease.ttl)

    def _revoke(self, request: LeaseRevokeRequest, _term: int, changes: list[Change]) -> LeaseRevokeResponse:
        for key in self.leases.remove(request.ID):
            self._delete(key, changes)
        return LeaseRevokeResponse()

    def _checkpoint(
        self, request: LeaseCheckpointRequest, _term: int, _changes: list[Change]
    ) -> LeaseCheckpointResponse:
        for checkpoint in request.checkpoints:
            self.leases.checkpoint(checkpoint.ID, checkpoint.remaining_TTL)
        return LeaseCheckpointResponse()

    def _expire(self, request: LeaseExpiry, term: int, changes: list[Change]) -> LeaseRevokeResponse:
        # A leader that was deposed meanwhile judged by a clock that does not count any more.
        if request.term == term:
            for identifier in request.IDs:
                try:
                    keys = self.leases.remove(identifier)
                except StoreError:
                    continue
                for key in keys:
                    self._delete(key, changes)
        return LeaseRevokeResponse()

    # -- the cluster -------------------------------------------------------------------------------------------

    def _alarm(self, request: AlarmRequest, _term: int, _changes: list[Change]) -> AlarmResponse:
        member, alarm = request.memberID, request.alarm
        touched: set[tuple[int, AlarmType]]
        if request.action == AlarmRequest.ACTIVATE:
            touched = {(member, alarm)} - self.alarms if alarm != NONE else set()
            self.alarms |= touched
        elif request.action == AlarmRequest.DEACTIVATE:
            touched = {
                known for known in self.alarms if (not member or known[0] == member) and alarm in (NONE, known[1])
            }
            self.alarms -= touched
        else:
            touched = {known for known in self.alarms if alarm in (NONE, known[1])}
        return AlarmResponse(alarms=[AlarmMember(memberID=who, alarm=what) for who, what in sorted(touched)])

    def _introduce(self, request: MemberAttributes, _term: int, _changes: list[Change]) -> MemberListResponse:
        self.members.introduce(request)
        return MemberListResponse(members=self.members.all())

    def _refuse_when_full(self) -> None:
        if self.alarms and any(alarm == NOSPACE for _, alarm in self.alarms):
            raise NoSpace
