"""Transactions: conditions and steps."""

from __future__ import annotations

from collections.abc import Sequence

from etcd.rpc_pb2 import Compare, RequestOp, TxnRequest

from store.mvcc.interval import Interval
from store.mvcc.keyspace import Keyspace
from store.mvcc.version import Version


class Path:
    """Which branch a transaction takes, and which ones the transactions nested in it take.

    Every condition, nested ones too, is judged by the state before the first step.
    """

    __slots__ = ("nested", "steps", "succeeded")

    def __init__(self, keyspace: Keyspace, request: TxnRequest) -> None:
        self.succeeded = all(holds(keyspace, compare) for compare in request.compare)
        self.steps: Sequence[RequestOp] = request.success if self.succeeded else request.failure
        self.nested: list[Path | None] = [
            Path(keyspace, step.request_txn) if step.HasField("request_txn") else None for step in self.steps
        ]

    def flatten(self) -> list[RequestOp]:
        """All steps that will run, in order, without the transactions around them."""
        steps: list[RequestOp] = []
        for step, path in zip(self.steps, self.nested, strict=True):
            if path is None:
                steps.append(step)
            else:
                steps += path.flatten()
        return steps


def changes_nothing(request: TxnRequest) -> bool:
    """Whether no branch of the transaction writes."""
    for step in (*request.success, *request.failure):
        if step.HasField("request_txn"):
            if not changes_nothing(step.request_txn):
                return False
        elif not step.HasField("request_range"):
            return False
    return True


def puts_something(request: TxnRequest) -> bool:
    """Whether some branch of the transaction puts a key."""
    return any(
        puts_something(step.request_txn) if step.HasField("request_txn") else step.HasField("request_put")
        for step in (*request.success, *request.failure)
    )


def is_serializable(request: TxnRequest) -> bool:
    """Whether every range in it is content with what this member knows. Only for one that changes nothing."""
    return all(
        is_serializable(step.request_txn) if step.HasField("request_txn") else step.request_range.serializable
        for step in (*request.success, *request.failure)
    )


def holds(keyspace: Keyspace, compare: Compare) -> bool:
    """Whether the condition holds now: for every key of its range, or for the one key, there or not."""
    interval = Interval(compare.key, compare.range_end)
    if interval.single:
        return _holds_for(keyspace.get(compare.key), compare)
    return all(_holds_for(version, compare) for version in keyspace.select(interval)) and (
        keyspace.count(interval) > 0 or _holds_for(None, compare)
    )


def _holds_for(version: Version | None, compare: Compare) -> bool:
    actual: int | bytes
    wanted: int | bytes
    if compare.target == Compare.VALUE:
        # There is no value to compare with, not even an empty one.
        if version is None:
            return False
        actual, wanted = version.value, compare.value
    elif compare.target == Compare.VERSION:
        actual, wanted = version.version if version else 0, compare.version
    elif compare.target == Compare.CREATE:
        actual, wanted = version.create if version else 0, compare.create_revision
    elif compare.target == Compare.MOD:
        actual, wanted = version.mod if version else 0, compare.mod_revision
    else:
        actual, wanted = version.lease if version else 0, compare.lease
    if compare.result == Compare.EQUAL:
        return actual == wanted
    if compare.result == Compare.NOT_EQUAL:
        return actual != wanted
    if compare.result == Compare.GREATER:
        return actual > wanted  # type: ignore[operator]
    return actual < wanted  # type: ignore[operator]
