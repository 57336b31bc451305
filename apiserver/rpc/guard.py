"""Around every call, in this order: find out who calls and as whom, whether they may, wait for a seat, serve, count it,
write it down. Errors become statuses here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc
import structlog

from apiserver.access import Access
from apiserver.audit import notes
from apiserver.audit.log import AuditLog, Call
from apiserver.audit.policy import COMPLETE, STARTED, Level
from apiserver.authn import User
from apiserver.fairness import Fairness
from apiserver.metrics import Metrics
from apiserver.rpc import attributes
from apiserver.rpc.errors import status_of

log = structlog.get_logger(__name__)

Context = Any
UnaryCall = Callable[[User, Any, Context], Awaitable[Any]]
# What a stream yields is one answer, or several that are sent together.
Answers = AsyncIterator[Any]
StreamCall = Callable[[User, Any, Context], Answers]
# So many objects of a list cost as much as one call more, up to a limit.
OBJECTS_PER_SEAT, SEATS_MAX = 500, 10
# How long a watch keeps its seat at most while it sends the present state.
BEGIN_MAX_S = 0.5


@dataclass(frozen=True)
class Surroundings:
    """What calls pass on their way.

    Attributes:
        access: who calls, and whether they may.
        fairness: seats; None: calls are served as they come.
        audit: where calls are written down; None: nowhere.
        now: the present moment.
        count: how many objects of a kind there are, by its qualified plural.
    """

    access: Access
    fairness: Fairness | None = None
    audit: AuditLog | None = None
    now: Callable[[], datetime] = datetime.now
    count: Callable[[str], int] = lambda _: 0


class _Passage:
    """One call on its way: what is known of it so far."""

    def __init__(self, around: Surroundings, resource: str, verb: str, context: Context) -> None:
        self._around = around
        self._resource, self._verb = resource, verb
        self._context = context
        self._caller: User | None = None
        self._acting: User | None = None
        self._wanted = attributes.of(resource, verb, None)
        self._request: Any = None
        self._received = around.now() if around.audit is not None else None
        self._notes = notes.begin() if around.audit is not None else {}

    async def enter(self, request: Any, stack: AsyncExitStack, *, seated: bool = True) -> User:
        """Lets a call in, or raises: authentication, authorization, a seat for as long as the stack is open."""
        around, context = self._around, self._context
        self._request = attributes.read(self._resource, self._verb, request)
        self._wanted = attributes.of(self._resource, self._verb, self._request)
        metadata = tuple(context.invocation_metadata() or ())
        self._caller = await around.access.authenticate(context.auth_context(), metadata)
        user = self._acting = around.access.acting(self._caller, metadata)
        reason = around.access.authorizer.authorize(user, self._wanted)
        if around.audit is not None:
            notes.note("authorization.k8s.io/decision", "allow")
            notes.note("authorization.k8s.io/reason", reason)
        if around.fairness is not None and seated:
            await stack.enter_async_context(around.fairness.seat(user, self._wanted, self._width()))
        return user

    def _width(self) -> int:
        if self._wanted.verb != "list" or self._wanted.name:
            return 1
        count = self._around.count(self._resource)
        limit = getattr(self._request, "limit", 0)
        return min(SEATS_MAX, 1 + min(limit or count, count) // OBJECTS_PER_SEAT)

    def note(self, stage: str, code: str, message: str, answer: Any = None) -> None:
        """Writes a stage of the call down, as far as the policy wants it."""
        audit = self._around.audit
        if audit is None or self._received is None:
            return
        rule = audit.policy.rule_for(self._acting or self._caller, self._wanted)
        if rule.level is Level.NONE:
            return
        metadata = dict(self._context.invocation_metadata() or ())
        if code == "PERMISSION_DENIED":
            self._notes.setdefault("authorization.k8s.io/decision", "forbid")
        call = Call(
            rule=rule,
            uri=attributes.path(self._resource, self._verb),
            wanted=self._wanted,
            received=self._received,
            caller=self._caller,
            acting=self._acting,
            peer=str(self._context.peer()),
            agent=str(metadata.get("user-agent", "")),
            request=self._request,
            notes=self._notes,
        )
        shown = attributes.answer(self._resource, self._verb, answer) if rule.level is Level.REQUEST_RESPONSE else None
        audit.write(call, stage, code, message, shown)


class Guard:
    """Wraps calls for one server."""

    def __init__(self, metrics: Metrics, around: Surroundings) -> None:
        self._metrics = metrics
        self._around = around

    @property
    def access(self) -> Access:
        """Who may do what."""
        return self._around.access

    def unary(self, resource: str, verb: str, call: UnaryCall) -> Callable[[Any, Context], Awaitable[Any]]:
        """A call with one answer."""

        async def guarded(request: Any, context: Context) -> Any:
            started = time.perf_counter()
            code, message, answer = "CANCELLED", "", None
            passage = _Passage(self._around, resource, verb, context)
            try:
                async with AsyncExitStack() as stack:
                    user = await passage.enter(request, stack)
                    answer = await call(user, request, context)
                code = "OK"
                return answer
            except Exception as error:
                code, message = _code_of(error), str(error)
                await self._fail(error, resource, verb, context)
            finally:
                took_s = time.perf_counter() - started
                self._metrics.calls.labels(resource, verb, code).inc()
                self._metrics.seconds.labels(resource, verb).observe(took_s)
                passage.note(COMPLETE, code, message, answer)
                log.debug("call", verb=verb, resource=resource, code=code, ms=round(took_s * 1000, 2))

        return guarded

    def stream(self, resource: str, verb: str, call: StreamCall) -> Callable[[Any, Context], Answers]:
        """A call with many answers; its request is one message, or a stream that begins with what it is about.

        Only a watch takes a seat, and only until it has begun: what is open for long must not keep others out.
        """

        async def guarded(request: Any, context: Context) -> Answers:
            code, message = "CANCELLED", ""
            self._metrics.streams.labels(resource, verb).inc()
            answers: Any = None
            beginning: asyncio.Future[Any] | None = None
            passage = _Passage(self._around, resource, verb, context)
            try:
                first = request
                if attributes.takes_stream(resource, verb):
                    first, request = await _peeked(request)
                async with AsyncExitStack() as stack:
                    user = await passage.enter(first, stack, seated=verb == "watch")
                    answers = call(user, request, context)
                    beginning = asyncio.ensure_future(anext(answers, None))
                    # What has nothing to tell yet has begun all the same.
                    await asyncio.wait({beginning}, timeout=BEGIN_MAX_S)
                passage.note(STARTED, "OK", "")
                begun = await beginning
                if begun is not None:
                    yield begun
                    async for answer in answers:
                        yield answer
                code = "OK"
            except Exception as error:
                code, message = _code_of(error), str(error)
                await self._fail(error, resource, verb, context)
            finally:
                if beginning is not None and not beginning.done():
                    beginning.cancel()
                    await asyncio.wait({beginning})
                if answers is not None:
                    await answers.aclose()
                self._metrics.streams.labels(resource, verb).dec()
                self._metrics.calls.labels(resource, verb, code).inc()
                passage.note(COMPLETE, code, message)

        return guarded

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
