"""Around every call, in this order: count it, turn errors into statuses, find out who calls, and whether they may."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import structlog

from apiserver.access import Access
from apiserver.authn import User
from apiserver.authz.attributes import Attributes
from apiserver.metrics import Metrics
from apiserver.rpc import attributes
from apiserver.rpc.errors import status_of

log = structlog.get_logger(__name__)

Context = Any
UnaryCall = Callable[[User, Any, Context], Awaitable[Any]]
StreamCall = Callable[[User, Any, Context], AsyncIterator[bytes]]


class Guard:
    """Wraps calls for one server."""

    def __init__(self, metrics: Metrics, access: Access) -> None:
        self._metrics = metrics
        self.access = access

    def unary(self, resource: str, verb: str, call: UnaryCall) -> Callable[[Any, Context], Awaitable[Any]]:
        """A call with one answer."""

        async def guarded(request: Any, context: Context) -> Any:
            started = time.perf_counter()
            code = "OK"
            try:
                wanted = attributes.of(resource, verb, attributes.read(resource, verb, request))
                user = await self._admit(wanted, context)
                return await call(user, request, context)
            except Exception as error:
                code = _code_of(error)
                await self._fail(error, resource, verb, context)
            finally:
                took_s = time.perf_counter() - started
                self._metrics.calls.labels(resource, verb, code).inc()
                self._metrics.seconds.labels(resource, verb).observe(took_s)
                log.debug("call", verb=verb, resource=resource, code=code, ms=round(took_s * 1000, 2))

        return guarded

    def stream(self, resource: str, verb: str, call: StreamCall) -> Callable[[Any, Context], AsyncIterator[bytes]]:
        """A call with many answers; its request is one message, or a stream that begins with what it is about."""

        async def guarded(request: Any, context: Context) -> AsyncIterator[bytes]:
            code = "OK"
            self._metrics.streams.labels(resource, verb).inc()
            answers: Any = None
            try:
                first = request
                if attributes.takes_stream(resource, verb):
                    first, request = await _peeked(request)
                wanted = attributes.of(resource, verb, attributes.read(resource, verb, first))
                user = await self._admit(wanted, context)
                answers = call(user, request, context)
                async for answer in answers:
                    yield answer
            except Exception as error:
                code = _code_of(error)
                await self._fail(error, resource, verb, context)
            finally:
                if answers is not None:
                    await answers.aclose()
                self._metrics.streams.labels(resource, verb).dec()
                self._metrics.calls.labels(resource, verb, code).inc()

        return guarded

    async def _admit(self, wanted: Attributes, context: Context) -> User:
        metadata = tuple(context.invocation_metadata() or ())
        caller = await self.access.authenticate(context.auth_context(), metadata)
        user = self.access.acting(caller, metadata)
        self.access.authorizer.authorize(user, wanted)
        return user

    async def _fail(self, error: Exception, resource: str, verb: str, context: Context) -> None:
        """Ends the call with the error's status; what is not a domain error is logged and shown as INTERNAL."""
        if isinstance(error, (asyncio.CancelledError, grpc.aio.AbortError)):
            raise error
        status = status_of(error)
        if status is None:
            log.exception("call failed", resource=resource, verb=verb)
            await context.abort(grpc.StatusCode.INTERNAL, "internal error; the apiserver's log says more")
            raise AssertionError("unreachable")
        await context.abort_with_status(status)
        raise AssertionError("unreachable")


async def _peeked(requests: AsyncIterator[Any]) -> tuple[Any, AsyncIterator[Any]]:
    """The first message of a stream (None when there is none), and the stream with it."""
    first = await anext(requests, None)

    async def whole() -> AsyncIterator[Any]:
        if first is not None:
            yield first
        async for request in requests:
            yield request

    return first, whole()


def _code_of(error: Exception) -> str:
    """The name of the status that an error becomes."""
    status = status_of(error)
    return status.code.name if status is not None else "INTERNAL"
