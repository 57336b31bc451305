"""A bare etcd v3 client for tests: one method per call, messages in and out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from etcd import rpc_pb2 as pb
from etcd.kv_pb2 import Event

CALL_TIMEOUT_S = 10.0


class Refused(AssertionError):
    """The store refused a call; `code` and `text` as the client reads them."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(f"{error.code().name}: {error.details()}")
        self.code = error.code()
        self.text = error.details()


class StreamEnded(AssertionError):
    """The store ended a stream."""


class Client:
    """Calls the store at `target`."""

    def __init__(self, target: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 200),
        ]
        self.channel = (
            grpc.aio.insecure_channel(target, options=options)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, options=options)
        )

    async def close(self) -> None:
        await self.channel.close()

    async def call(
        self, service: str, method: str, request: Any, timeout: float = CALL_TIMEOUT_S, *, patient: bool = True
    ) -> Any:
        response_type = getattr(pb, _RESPONSES.get(method, f"{method}Response"))
        rpc = self.channel.unary_unary(
            f"/etcdserverpb.{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response_type.FromString,
        )
        try:
            return await rpc(request, timeout=timeout, wait_for_ready=patient)
        except grpc.aio.AioRpcError as error:
            raise Refused(error) from error

    async def range(self, key: bytes, range_end: bytes = b"", **options: Any) -> pb.RangeResponse:
        return await self.call("KV", "Range", pb.RangeRequest(key=key, range_end=range_end, **options))

    async def get(self, key: bytes, **options: Any) -> bytes | None:
        response = await self.range(key, **options)
        return response.kvs[0].value if response.kvs else None

    async def put(
        self, key: bytes, value: bytes = b"", timeout: float = CALL_TIMEOUT_S, *, patient: bool = True, **options: Any
    ) -> Any:
        request = pb.PutRequest(key=key, value=value, **options)
        return await self.call("KV", "Put", request, timeout, patient=patient)

    async def delete(self, key: bytes, range_end: bytes = b"", **options: Any) -> pb.DeleteRangeResponse:
        return await self.call("KV", "DeleteRange", pb.DeleteRangeRequest(key=key, range_end=range_end, **options))

    async def txn(self, compare: list[Any], success: list[Any], failure: list[Any] | None = None) -> pb.TxnResponse:
        request = pb.TxnRequest(compare=compare, success=success, failure=failure or [])
        return await self.call("KV", "Txn", request)

    async def compact(self, revision: int, *, physical: bool = False) -> pb.CompactionResponse:
        return await self.call("KV", "Compact", pb.CompactionRequest(revision=revision, physical=physical))

    async def grant(self, ttl: int, identifier: int = 0) -> pb.LeaseGrantResponse:
        return await self.call("Lease", "LeaseGrant", pb.LeaseGrantRequest(TTL=ttl, ID=identifier))

    async def revoke(self, identifier: int) -> pb.LeaseRevokeResponse:
        return await self.call("Lease", "LeaseRevoke", pb.LeaseRevokeRequest(ID=identifier))

    async def time_to_live(self, identifier: int, *, keys: bool = False) -> pb.LeaseTimeToLiveResponse:
        return await self.call("Lease", "LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=identifier, keys=keys))

    async def leases(self) -> pb.LeaseLeasesResponse:
        return await self.call("Lease", "LeaseLeases", pb.LeaseLeasesRequest())

    async def status(self) -> pb.StatusResponse:
        return await self.call("Maintenance", "Status", pb.StatusRequest())

    async def members(self, *, linearizable: bool = True) -> pb.MemberListResponse:
        return await self.call("Cluster", "MemberList", pb.MemberListRequest(linearizable=linearizable))

    def stream(self, service: str, method: str, response_type: Any) -> Any:
        return self.channel.stream_stream(
            f"/etcdserverpb.{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response_type.FromString,
        )(wait_for_ready=True)

    async def keep_alive(self, identifier: int) -> pb.LeaseKeepAliveResponse:
        call = self.stream("Lease", "LeaseKeepAlive", pb.LeaseKeepAliveResponse)
        await call.write(pb.LeaseKeepAliveRequest(ID=identifier))
        response = await asyncio.wait_for(call.read(), CALL_TIMEOUT_S)
        call.cancel()
        return response

    def watch_stream(self) -> WatchCall:
        return WatchCall(self.stream("Watch", "Watch", pb.WatchResponse))

    async def watch(self, key: bytes, range_end: bytes = b"", **options: Any) -> WatchCall:
        """A stream with one watch, which is created when this returns."""
        call = self.watch_stream()
        response = await call.create(key, range_end, **options)
        assert response.created and not response.canceled, response
        return call


_RESPONSES = {"Compact": "CompactionResponse"}


class WatchCall:
    """One stream of watches."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def send(self, **request: Any) -> None:
        await self.call.write(pb.WatchRequest(**request))

    async def create(self, key: bytes, range_end: bytes = b"", **options: Any) -> pb.WatchResponse:
        await self.send(create_request=pb.WatchCreateRequest(key=key, range_end=range_end, **options))
        return await self.read()

    async def read(self, timeout: float = CALL_TIMEOUT_S) -> pb.WatchResponse:
        response = await asyncio.wait_for(self.call.read(), timeout)
        if response is grpc.aio.EOF:
            raise StreamEnded
        return response

    async def events(self, count: int) -> list[Event]:
        """The next `count` events."""
        events: list[Event] = []
        while len(events) < count:
            response = await self.read()
            assert not response.canceled, response
            events.extend(response.events)
        return events

    async def responses(self) -> AsyncIterator[pb.WatchResponse]:
        while True:
            yield await self.read()

    def cancel(self) -> None:
        self.call.cancel()


def put_op(key: bytes, value: bytes = b"", **options: Any) -> pb.RequestOp:
    return pb.RequestOp(request_put=pb.PutRequest(key=key, value=value, **options))


def get_op(key: bytes, range_end: bytes = b"", **options: Any) -> pb.RequestOp:
    return pb.RequestOp(request_range=pb.RangeRequest(key=key, range_end=range_end, **options))


def delete_op(key: bytes, range_end: bytes = b"", **options: Any) -> pb.RequestOp:
    return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key, range_end=range_end, **options))


def txn_op(request: pb.TxnRequest) -> pb.RequestOp:
    return pb.RequestOp(request_txn=request)


def compare(key: bytes, target: str, result: str = "=", range_end: bytes = b"", **value: Any) -> pb.Compare:
    results = {"=": pb.Compare.EQUAL, "!=": pb.Compare.NOT_EQUAL, ">": pb.Compare.GREATER, "<": pb.Compare.LESS}
    return pb.Compare(
        key=key, range_end=range_end, target=pb.Compare.CompareTarget.Value(target), result=results[result], **value
    )
