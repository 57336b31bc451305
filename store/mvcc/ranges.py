"""Answering a range request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etcd.kv_pb2 import KeyValue
from etcd.rpc_pb2 import RangeRequest, RangeResponse

from store.mvcc.interval import Interval
from store.mvcc.keyspace import Keyspace
from store.mvcc.version import Version, field, varint

_SORT_KEYS: dict[int, Callable[[Version], Any]] = {
    RangeRequest.KEY: lambda version: version.key,
    RangeRequest.VERSION: lambda version: version.version,
    RangeRequest.CREATE: lambda version: version.create,
    RangeRequest.MOD: lambda version: version.mod,
    RangeRequest.VALUE: lambda version: version.value,
}


class Selection:
    """What a range request found: the versions to send, whether there are more, how many keys the range has."""

    __slots__ = ("count", "keys_only", "more", "versions")

    def __init__(self, versions: list[Version], more: bool, count: int, keys_only: bool) -> None:
        self.versions = versions
        self.more = more
        self.count = count
        self.keys_only = keys_only

    def _encoded(self) -> list[bytes]:
        if not self.keys_only:
            return [version.encoded for version in self.versions]
        bare = []
        for version in self.versions:
            kv = version.message()
            kv.ClearField("value")
            bare.append(kv.SerializeToString())
        return bare

    def body(self) -> bytes:
        """A serialised RangeResponse without its header, put together from the versions as they are stored."""
        parts = []
        for encoded in self._encoded():
            parts.append(b"\x12" + varint(len(encoded)))
            parts.append(encoded)
        if self.more:
            parts.append(b"\x18\x01")
        if self.count:
            parts.append(b"\x20" + varint(self.count))
        return b"".join(parts)

    def message(self) -> RangeResponse:
        """The answer as a message, without header."""
        return RangeResponse(
            kvs=[KeyValue.FromString(encoded) for encoded in self._encoded()], more=self.more, count=self.count
        )


def answer(header: bytes, selection: Selection) -> bytes:
    """A serialised RangeResponse with the serialised `header`."""
    return field(1, header) + selection.body()


def read(keyspace: Keyspace, request: RangeRequest, newest: int | None = None) -> Selection:
    """Runs `request`. `newest` is the revision being written when this happens inside a transaction.

    Raises:
        FutureRevision, Compacted: the revision asked for cannot be read.
    """
    newest = keyspace.revision if newest is None else newest
    keyspace.check_revision(request.revision, newest)
    interval = Interval(request.key, request.range_end)
    # A read at the newest revision sees the live keys; only older ones need the past.
    now = request.revision <= 0 or request.revision >= newest
    if now and request.count_only:
        return Selection([], False, keyspace.count(interval), False)

    limit = request.limit if request.limit > 0 else 0
    filtered = bool(
        request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )
    by_key = request.sort_target == RangeRequest.KEY
    plain = by_key and request.sort_order != RangeRequest.DESCEND and not filtered

    found = keyspace.select(interval) if now else keyspace.select_at(interval, request.revision)
    if now and plain and limit:
        versions = []
        for version in found:
            versions.append(version)
            if len(versions) > limit:
                break
        count = keyspace.count(interval)
    else:
        versions = list(found)
        count = len(versions)
    if request.count_only:
        return Selection([], False, count, False)
    if filtered:
        versions = [version for version in versions if _passes(version, request)]
    if not (by_key and request.sort_order != RangeRequest.DESCEND):
        sort_key = _SORT_KEYS[request.sort_target]
        versions.sort(key=sort_key, reverse=request.sort_order == RangeRequest.DESCEND)
    more = bool(limit) and len(versions) > limit
    if more:
        del versions[limit:]
    return Selection(versions, more, count, request.keys_only)


def _passes(version: Version, request: RangeRequest) -> bool:
    return not (
        (request.min_mod_revision and version.mod < request.min_mod_revision)
        or (request.max_mod_revision and version.mod > request.max_mod_revision)
        or (request.min_create_revision and version.create < request.min_create_revision)
        or (request.max_create_revision and version.create > request.max_create_revision)
    )
