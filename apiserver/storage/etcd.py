"""The store over etcd v3: our own, or a real etcd cluster."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any

import grpc
from etcd import kv_pb2, rpc_pb2
from steersman.retry import Backoff
from steersman.service.http2.channel import Channel, Dialing
from steersman.service.tls import client_context

from apiserver import errors
from apiserver.storage.port import (
    Claim,
    Compacted,
    Guarded,
    KeyChanged,
    KeyExists,
    Nudge,
    Page,
    StorageBatch,
    StorageEvent,
    Stored,
)

CALL_TIMEOUT_S = 10.0
# How often a watch asks the store how far it has come; bookmarks to our own watchers follow from it.
PROGRESS_S = 2.0
_COMPACTED = "required revision has been compacted"
_FUTURE = "required revision is a future revision"
_NO_SPACE = "database space exceeded"


def open_channels(
    endpoints: Sequence[str],
    *,
    authority: Path | None,
    certificate: Path | None,
    key: Path | None,
) -> list[Channel]:
    """A channel to each member of a store; endpoints are etcd's urls or "host:port". Call it within an event loop.

    Raises:
        ValueError: the endpoints mix TLS with plain text.
        TLSFileError: a certificate file cannot be read.
    """
    schemes = {url.partition("://")[0] if "://" in url else "https" for url in endpoints}
    if len(schemes) != 1:
        raise ValueError("the store's endpoints must all be https:// or all http://")
    # Each member has a certificate for its own name.
    tls = None if schemes == {"http"} else client_context(authority, certificate, key)
    dialing = Dialing(tls=tls, pause_max_s=0.5)
    return [Channel(url.rpartition("://")[2].rstrip("/"), dialing) for url in endpoints]


_RANGE, _TXN, _COMPACT, _STATUS = map(attrgetter, ("range", "txn", "compact", "status"))


def _end_of(prefix: bytes) -> bytes:
    """The first key after all keys with a prefix."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


class _Member:
    """The calls of one member of the store."""

    def __init__(self, channel: Channel) -> None:
        def unary(path: str, request: Any, response: Any) -> Callable[..., Any]:
            method: Callable[..., Any] = channel.unary_unary(
                f"/etcdserverpb.{path}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            return method

        self.range = unary("KV/Range", rpc_pb2.RangeRequest, rpc_pb2.RangeResponse)
        self.txn = unary("KV/Txn", rpc_pb2.TxnRequest, rpc_pb2.TxnResponse)
        self.compact = unary("KV/Compact", rpc_pb2.CompactionRequest, rpc_pb2.CompactionResponse)
        self.status = unary("Maintenance/Status", rpc_pb2.StatusRequest, rpc_pb2.StatusResponse)
        self.watch: Any = channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=rpc_pb2.WatchRequest.SerializeToString,
            response_deserializer=rpc_pb2.WatchResponse.FromString,
        )


class EtcdStorage:
    """A `Storage` on an etcd v3 server of one or more members; another one is tried when one does not answer."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._members = [_Member(channel) for channel in channels]
        self._current = 0

    def _next_member(self) -> None:
        self._current = (self._current + 1) % len(self._members)

    async def _call(self, method: Callable[[_Member], Callable[..., Any]], request: Any, *, idempotent: bool) -> Any:
        """Makes a call; reads are repeated, at the next member, while the store changes leaders or restarts."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CALL_TIMEOUT_S
        backoff = Backoff(base_s=0.02, limit_s=0.5)
        while True:
            try:
                call = method(self._members[self._current])
                return await call(request, timeout=max(0.001, deadline - loop.time()))
            except grpc.aio.AioRpcError as error:
                details = error.details() or error.code().name
                if error.code() is grpc.StatusCode.OUT_OF_RANGE and _COMPACTED in details:
                    raise Compacted(0) from error
                if error.code() is grpc.StatusCode.OUT_OF_RANGE and _FUTURE in details:
                    raise errors.BadRequest("continue_token", "the store has not come to that revision") from error
                if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and _NO_SPACE in details:
                    raise errors.StorageFull(f"the store is full: {details}") from error
                delay_s = backoff.next_s()
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    self._next_member()
                if idempotent and error.code() is grpc.StatusCode.UNAVAILABLE and loop.time() + delay_s < deadline:
                    await asyncio.sleep(delay_s)
                    continue
                raise errors.StorageUnavailable(f"the store does not answer: {details}") from error

    async def get(self, key: str) -> Stored | None:
        """See `Storage.get`."""
        answer = await self._call(_RANGE, rpc_pb2.RangeRequest(key=key.encode()), idempotent=True)
        for kv in answer.kvs:
            return Stored(key, kv.value, kv.mod_revision)
        return None

    async def list(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """See `Storage.list`."""
        # Whatever is asked for, nothing before the prefix is read.
        start = max(after.encode() + b"\0", prefix.encode()) if after else prefix.encode()
        request = rpc_pb2.RangeRequest(key=start, range_end=_end_of(prefix.encode()), limit=limit, revision=revision)
        answer = await self._call(_RANGE, request, idempotent=True)
        items = [Stored(kv.key.decode(), kv.value, kv.mod_revision) for kv in answer.kvs]
        as_of = revision or answer.header.revision
        return Page(items, as_of, answer.more, max(0, answer.count - len(items)))

    async def create(
        self, key: str, value: bytes, *, claims: Sequence[Claim] = (), guards: Sequence[Guarded] = ()
    ) -> int:
        """See `Storage.create`."""
        puts = [Claim(key, value), *claims]
        request = rpc_pb2.TxnRequest(
            compare=[*(_absent(put.key) for put in puts), *(_unchanged(each.key, each.revision) for each in guards)],
            success=[*(_put(put.key, put.value) for put in puts), *(_put(each.key, each.value) for each in guards)],
            failure=[*(_get(put.key) for put in puts), *(_get(each.key) for each in guards)],
        )
        answer = await self._call(_TXN, request, idempotent=False)
        if not answer.succeeded:
            for put, response in zip(puts, answer.responses, strict=False):
                if response.response_range.kvs:
                    raise KeyExists(put.key)
            self._explain_guards(guards, answer.responses[len(puts) :])
            raise KeyExists(key)
        return int(answer.header.revision)

    async def update(
        self,
        key: str,
        value: bytes,
        *,
        revision: int,
        claims: Sequence[Claim] = (),
        releases: Sequence[str] = (),
        guards: Sequence[Guarded] = (),
    ) -> int:
        """See `Storage.update`."""
        request = rpc_pb2.TxnRequest(
            compare=[
                _unchanged(key, revision),
                *(_absent(claim.key) for claim in claims),
                *(_unchanged(each.key, each.revision) for each in guards),
            ],
            success=[
                _put(key, value),
                *(_put(claim.key, claim.value) for claim in claims),
                *(_put(each.key, each.value) for each in guards),
                *(_delete(released) for released in releases),
            ],
            failure=[_get(key), *(_get(claim.key) for claim in claims), *(_get(each.key) for each in guards)],
        )
        answer = await self._call(_TXN, request, idempotent=False)
        if not answer.succeeded:
            self._explain(key, revision, answer, claims=len(claims), guards=guards)
        return int(answer.header.revision)

    async def delete(self, key: str, *, revision: int, releases: Sequence[str] = ()) -> int:
        """See `Storage.delete`."""
        request = rpc_pb2.TxnRequest(
            compare=[_unchanged(key, revision)],
            success=[_delete(name) for name in (key, *releases)],
            failure=[_get(key)],
        )
        answer = await self._call(_TXN, request, idempotent=False)
        if not answer.succeeded:
            self._explain(key, revision, answer)
        return int(answer.header.revision)

    async def compact(self, revision: int) -> None:
        """See `Storage.compact`."""
        with suppress(Compacted):
            await self._call(_COMPACT, rpc_pb2.CompactionRequest(revision=revision), idempotent=False)

    @staticmethod
    def _explain_guards(guards: Sequence[Guarded], responses: Sequence[Any]) -> None:
        for guard, response in zip(guards, responses, strict=False):
            current = next((Stored(guard.key, kv.value, kv.mod_revision) for kv in response.response_range.kvs), None)
            if current is None or current.revision != guard.revision:
                raise KeyChanged(guard.key, current)

    def _explain(
        self, key: str, revision: int, answer: Any, *, claims: int = 0, guards: Sequence[Guarded] = ()
    ) -> None:
        own, *others = answer.responses
        current = next((Stored(key, kv.value, kv.mod_revision) for kv in own.response_range.kvs), None)
        if current is not None and current.revision == revision:
            for response in others[:claims]:
                for kv in response.response_range.kvs:
                    raise KeyExists(kv.key.decode())
            self._explain_guards(guards, others[claims:])
        raise KeyChanged(key, current)

    async def revision(self) -> int:
        """See `Storage.revision`."""
        request = rpc_pb2.RangeRequest(key=b"\0", count_only=True)
        answer = await self._call(_RANGE, request, idempotent=True)
        return int(answer.header.revision)

    async def reports_exactly(self) -> bool:
        """See `Storage.reports_exactly`: true of etcd since 3.4.31 and 3.5.13 (etcd-io/etcd#15220)."""
        answer = await self._call(_STATUS, rpc_pb2.StatusRequest(), idempotent=True)
        numbers = [int(part) for part in re.findall(r"\d+", answer.version)[:3]]
        return numbers >= [3, 5, 13] or [3, 4, 31] <= numbers < [3, 5]

    async def watch(self, prefix: str, *, revision: int, nudge: Nudge | None = None) -> AsyncIterator[StorageBatch]:
        """See `Storage.watch`."""
        requests: asyncio.Queue[rpc_pb2.WatchRequest] = asyncio.Queue()
        progress = rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest())

        def ask() -> None:
            requests.put_nowait(progress)

        if nudge is not None:
            nudge.ask = ask
        create = rpc_pb2.WatchCreateRequest(
            key=prefix.encode(),
            range_end=_end_of(prefix.encode()),
            start_revision=revision + 1,
            prev_kv=True,
            progress_notify=True,
        )
        requests.put_nowait(rpc_pb2.WatchRequest(create_request=create))

        async def feed() -> AsyncIterator[rpc_pb2.WatchRequest]:
            while True:
                yield await requests.get()

        async def ask_progress() -> None:
            while True:
                await asyncio.sleep(PROGRESS_S)
                requests.put_nowait(progress)

        call = self._members[self._current].watch(feed())
        asking = asyncio.create_task(ask_progress())
        seen = revision
        try:
            async for answer in call:
                if answer.compact_revision:
                    raise Compacted(int(answer.compact_revision))
                if answer.canceled:
                    raise errors.StorageUnavailable(f"the store ended a watch: {answer.cancel_reason}")
                if answer.created:
                    continue
                events = [
                    StorageEvent(
                        key=event.kv.key.decode(),
                        value=event.kv.value if event.type == kv_pb2.Event.PUT else None,
                        previous=event.prev_kv.value if event.HasField("prev_kv") else None,
                        revision=event.kv.mod_revision,
                    )
                    for event in answer.events
                ]
                seen = max(seen, answer.header.revision) if not events else max(seen, events[-1].revision)
                yield StorageBatch(events, seen)
            raise errors.StorageUnavailable("the store ended a watch")
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.OUT_OF_RANGE:
                raise Compacted(0) from error
            self._next_member()
            raise errors.StorageUnavailable(f"a watch of the store broke: {error.details()}") from error
        finally:
            if nudge is not None and nudge.ask is ask:
                # The next watch may have begun.
                nudge.ask = lambda: None
            asking.cancel()
            call.cancel()


def _absent(key: str) -> rpc_pb2.Compare:
    return rpc_pb2.Compare(
        key=key.encode(), target=rpc_pb2.Compare.CREATE, result=rpc_pb2.Compare.EQUAL, create_revision=0
    )


def _unchanged(key: str, revision: int) -> rpc_pb2.Compare:
    return rpc_pb2.Compare(
        key=key.encode(), target=rpc_pb2.Compare.MOD, result=rpc_pb2.Compare.EQUAL, mod_revision=revision
    )


def _put(key: str, value: bytes) -> rpc_pb2.RequestOp:
    return rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=key.encode(), value=value))


def _get(key: str) -> rpc_pb2.RequestOp:
    return rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=key.encode()))


def _delete(key: str) -> rpc_pb2.RequestOp:
    return rpc_pb2.RequestOp(request_delete_range=rpc_pb2.DeleteRangeRequest(key=key.encode()))
