"""Refusing requests that make no sense, before they reach the log."""

from __future__ import annotations

from collections.abc import Iterable

from etcd.rpc_pb2 import DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest

from store.errors import (
    DuplicateKey,
    EmptyKey,
    InvalidSortOption,
    KeyNotFound,
    LeaseProvided,
    TooManyOperations,
    ValueProvided,
)
from store.mvcc.interval import Interval

_SORT_ORDERS = frozenset(RangeRequest.SortOrder.values())
_SORT_TARGETS = frozenset(RangeRequest.SortTarget.values())


def check_range(request: RangeRequest) -> None:
    """Raises EmptyKey or InvalidSortOption."""
    if not request.key:
        raise EmptyKey
    if request.sort_order not in _SORT_ORDERS or request.sort_target not in _SORT_TARGETS:
        raise InvalidSortOption


def check_put(request: PutRequest) -> None:
    """Raises EmptyKey, ValueProvided or LeaseProvided."""
    if not request.key:
        raise EmptyKey
    if request.ignore_value and request.value:
        raise ValueProvided
    if request.ignore_lease and request.lease:
        raise LeaseProvided


def check_delete(request: DeleteRangeRequest) -> None:
    """Raises EmptyKey."""
    if not request.key:
        raise EmptyKey


def check_txn(request: TxnRequest, operations_max: int) -> None:
    """Checks a transaction and everything nested in it.

    Raises:
        TooManyOperations: more than `operations_max` steps, counting outer ones against inner ones.
        DuplicateKey: two steps that both run would change one key.
        EmptyKey, ValueProvided, LeaseProvided, InvalidSortOption, KeyNotFound: as for single requests.
    """
    _check_steps(request, operations_max)
    _check_overlaps(request.success)
    _check_overlaps(request.failure)


def _check_steps(request: TxnRequest, operations_max: int) -> None:
    operations = max(len(request.compare), len(request.success), len(request.failure))
    if operations > operations_max:
        raise TooManyOperations
    for compare in request.compare:
        if not compare.key:
            raise EmptyKey
    for step in (*request.success, *request.failure):
        kind = step.WhichOneof("request")
        if kind == "request_put":
            check_put(step.request_put)
        elif kind == "request_range":
            check_range(step.request_range)
        elif kind == "request_delete_range":
            check_delete(step.request_delete_range)
        elif kind == "request_txn":
            _check_steps(step.request_txn, operations_max - operations)
        else:
            raise KeyNotFound


def _check_overlaps(steps: Iterable[RequestOp]) -> tuple[set[bytes], list[Interval]]:
    """The keys put and the intervals deleted by `steps`; refuses a key that would be changed twice."""
    steps = list(steps)
    deletes = [
        Interval(step.request_delete_range.key, step.request_delete_range.range_end)
        for step in steps
        if step.HasField("request_delete_range")
    ]
    puts: set[bytes] = set()

    def add(key: bytes) -> None:
        if key in puts or any(key in interval for interval in deletes):
            raise DuplicateKey
        puts.add(key)

    for step in steps:
        if not step.HasField("request_txn"):
            continue
        then_puts, then_deletes = _check_overlaps(step.request_txn.success)
        else_puts, else_deletes = _check_overlaps(step.request_txn.failure)
        # The two branches exclude each other, so a key may be in both of them.
        for key in then_puts | else_puts:
            add(key)
        deletes += then_deletes + else_deletes
    for step in steps:
        if step.HasField("request_put"):
            add(step.request_put.key)
    return puts, deletes
