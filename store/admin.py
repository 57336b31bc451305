"""What an operator asks of a running store, as an etcd client."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import grpc
from etcd.kv_pb2 import Event
from etcd.rpc_pb2 import (
    RangeRequest,
    RangeResponse,
    SnapshotRequest,
    SnapshotResponse,
    WatchCreateRequest,
    WatchProgressRequest,
    WatchRequest,
    WatchResponse,
)
from google.protobuf.message import Message

from store.raft.files import DataCorrupt, sync_directory

_OPTIONS = [("grpc.max_receive_message_length", -1)]
TIMEOUT_S = 10.0


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def channel(target: str, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    """A channel to a member's client port."""
    if credentials is None:
        return grpc.insecure_channel(target, options=_OPTIONS)
    return grpc.secure_channel(target, credentials, options=_OPTIONS)


def save(member: grpc.Channel, path: Path) -> int:
    """Writes a backup of a member to `path` and returns its size in bytes. The file appears when it is whole.

    Raises:
        grpc.RpcError: the member does not answer.
        DataCorrupt: what arrived is not what was sent.
        OSError: the file cannot be written.
    """
    call = member.unary_stream(
        "/etcdserverpb.Maintenance/Snapshot",
        request_serializer=_serialize,
        response_deserializer=SnapshotResponse.FromString,
    )
    unfinished = path.with_name(f"{path.name}.part")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            digest = hashlib.sha256()
            last = b""
            size = 0
            for response in call(SnapshotRequest()):
                digest.update(last)
                last = response.blob
                size += len(last)
                file.write(last)
            if digest.digest() != last:
                raise DataCorrupt(path, size, "the backup's SHA-256 does not match what arrived")
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
        sync_directory(path.absolute().parent)
    finally:
        unfinished.unlink(missing_ok=True)
    return size


def history(member: grpc.Channel, key: bytes) -> Iterator[Event]:
    """All that happened to `key` since the last compaction, oldest first, each with what was before.

    Raises:
        grpc.RpcError: the member does not answer.
    """
    read = member.unary_unary(
        "/etcdserverpb.KV/Range", request_serializer=_serialize, response_deserializer=RangeResponse.FromString
    )
    newest = read(RangeRequest(key=key, keys_only=True), timeout=TIMEOUT_S).header.revision
    start = 1
    while start:
        start = yield from _follow(member, key, start, newest)


def _follow(member: grpc.Channel, key: bytes, start: int, newest: int) -> Generator[Event, None, int]:
    """The events of `key` from `start` to `newest`; returns where to start again, or 0 when all were told."""
    create = WatchCreateRequest(key=key, start_revision=start, prev_kv=True)
    requests = [WatchRequest(create_request=create), WatchRequest(progress_request=WatchProgressRequest())]
    call = member.stream_stream(
        "/etcdserverpb.Watch/Watch", request_serializer=_serialize, response_deserializer=WatchResponse.FromString
    )(_open_ended(requests), timeout=TIMEOUT_S)
    try:
        for response in call:
            if response.canceled:
                return int(response.compact_revision)
            for event in response.events:
                if event.kv.mod_revision > newest:
                    return 0
                yield event
            # Progress is told when the watch has caught up.
            if response.watch_id < 0 and response.header.revision >= newest:
                return 0
    finally:
        call.cancel()
    return 0


def _open_ended(requests: list[WatchRequest]) -> Iterator[WatchRequest]:
    """The requests; the stream stays open behind them until the call is cancelled."""
    yield from requests
    threading.Event().wait(TIMEOUT_S)
