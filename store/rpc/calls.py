"""How a service's methods become gRPC handlers: bytes in, bytes out, errors through the table."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
from etcd.rpc_pb2 import ResponseHeader
from google.protobuf.message import DecodeError, Message

from store.errors import StoreError
from store.machine import Outcome
from store.mvcc.version import field, varint
from store.rpc.errors import describe

UnaryMethod = Callable[[bytes], Awaitable[bytes]]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
StreamMethod = Callable[[AsyncIterator[bytes], Any], Awaitable[bytes | None]]


class Shape(enum.Enum):
    """Which side of a call is a stream."""

    REQUESTS = "requests"
    RESPONSES = "responses"
    BOTH = "both"


_MAKERS: dict[Shape, Callable[..., Handler]] = {
    Shape.REQUESTS: grpc.stream_unary_rpc_method_handler,
    Shape.RESPONSES: grpc.unary_stream_rpc_method_handler,
    Shape.BOTH: grpc.stream_stream_rpc_method_handler,
}

_UNREADABLE = (grpc.StatusCode.INTERNAL, "grpc: error unmarshalling request")


def unary(method: UnaryMethod, count: Callable[[str], None]) -> Handler:
    """A handler for a method with one request and one response. `count` is told the code of each call."""

    async def handle(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        try:
            response = await method(request)
        except StoreError as error:
            refusal = describe(error)
        except DecodeError:
            refusal = _UNREADABLE
        else:
            count("OK")
            return response
        count(refusal[0].name)
        await context.abort(*refusal)
        raise AssertionError("abort raises")

    return grpc.unary_unary_rpc_method_handler(handle)


def streaming(method: StreamMethod, count: Callable[[str], None], shape: Shape) -> Handler:
    """A handler for a method with a stream on one side or both. With `Shape.REQUESTS` it returns the one response."""

    async def handle(request: Any, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes | None:
        incoming = _single(request) if shape is Shape.RESPONSES else request
        try:
            response = await method(incoming, context)
        except StoreError as error:
            refusal = describe(error)
        except DecodeError:
            refusal = _UNREADABLE
        else:
            count("OK")
            return response
        count(refusal[0].name)
        await context.abort(*refusal)
        raise AssertionError("abort raises")

    return _MAKERS[shape](handle)


async def _single(request: bytes) -> AsyncIterator[bytes]:
    yield request


class CallCounts:
    """How many calls ended how, for the metrics: (service, method, code) → number."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str, str], int] = {}

    def of(self, service: str, method: str) -> Callable[[str], None]:
        """A counter for one method."""
        counts = self.counts

        def count(code: str) -> None:
            name = (service, method, code)
            counts[name] = counts.get(name, 0) + 1

        return count


class Headers:
    """Response headers of this member."""

    def __init__(self, cluster: int, member: int, term: Callable[[], int]) -> None:
        self._cluster = cluster
        self._member = member
        self._term = term
        self._known = (-1, -1)
        self._known_encoded = b""
        self._known_field = b""
        self._who = ResponseHeader(cluster_id=cluster, member_id=member).SerializeToString()

    def message(self, revision: int) -> ResponseHeader:
        """A header for `revision`."""
        return ResponseHeader(
            cluster_id=self._cluster, member_id=self._member, revision=revision, raft_term=self._term()
        )

    def encoded(self, revision: int) -> bytes:
        """The same, serialised: put together by hand, since every answer has one, and many have the same."""
        term = self._term()
        if (revision, term) != self._known:
            self._known = (revision, term)
            self._known_encoded = self._who + b"\x18" + varint(revision) + b"\x20" + varint(term)
            self._known_field = field(1, self._known_encoded)
        return self._known_encoded

    def as_field(self, revision: int) -> bytes:
        """The same as the field that a header is in every response."""
        self.encoded(revision)
        return self._known_field

    def answer(self, response: Message, revision: int) -> bytes:
        """`response`, which has no header yet, serialised with one."""
        return self.as_field(revision) + response.SerializeToString()

    def answer_outcome(self, outcome: Outcome) -> bytes:
        """The response of an outcome, serialised. Raises the outcome's error if it has one."""
        if outcome.error is not None:
            raise outcome.error
        return self.answer(outcome.response, outcome.revision)
