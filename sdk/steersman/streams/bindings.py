"""Many bindings over one stream, for schedulers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Self

from steersman import errors
from steersman.core.v1.pod_pb2 import PodBindManyRequest, PodBindManyResponse, PodBindRequest

Stream = Callable[[AsyncIterator[PodBindManyRequest]], AsyncGenerator[PodBindManyResponse, None]]


class Bindings:
    """Use it as an asynchronous context manager, and call `bind` as often as you like, also at the same time.

    The stream is opened by the first binding, and again by the next after it broke. Bindings that were under way when
    it broke raise what broke it; they may have happened.
    """

    def __init__(self, stream: Stream, namespace: str) -> None:
        """Nothing is opened yet.

        Args:
            stream: the rpc: requests in, answers out.
            namespace: of pods of which none is named.
        """
        self._stream = stream
        self._namespace = namespace
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._requests: asyncio.Queue[PodBindManyRequest | None] = asyncio.Queue()
        self._running: asyncio.Task[None] | None = None
        self._last = 0

    async def bind(self, name: str, *, namespace: str = "", node_name: str, uid: str = "") -> str:
        """Binds a pod to a node; returns the pod's resource version afterwards.

        Raises:
            Conflict: the pod is bound already, or is not the one with this uid.
            FailedPrecondition: it may not be bound now, or there is no room for it on the node.
            NotFound: there is no such pod.
            Unavailable: the stream broke; the binding may or may not have happened.
        """
        if self._running is None or self._running.done():
            self._requests = asyncio.Queue()
            self._running = asyncio.create_task(self._run(self._requests))
        self._last += 1
        number = self._last
        answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        bind = PodBindRequest(namespace=namespace or self._namespace, name=name, uid=uid, node_name=node_name)
        self._requests.put_nowait(PodBindManyRequest(id=number, bind=bind))
        try:
            return await answered
        finally:
            self._waiting.pop(number, None)

    async def _run(self, requests: asyncio.Queue[PodBindManyRequest | None]) -> None:
        async def sent() -> AsyncIterator[PodBindManyRequest]:
            while (request := await requests.get()) is not None:
                yield request

        broken: errors.ApiError = errors.Unavailable("the stream of bindings was ended by the server")
        try:
            async for response in self._stream(sent()):
                answered = self._waiting.get(response.id)
                if answered is None or answered.done():
                    continue
                if response.HasField("failure"):
                    failure = response.failure
                    answered.set_exception(errors.of(failure.code, failure.message, failure.reason))
                else:
                    answered.set_result(response.resource_version)
        except errors.ApiError as error:
            broken = error
        except asyncio.CancelledError:
            broken = errors.Unavailable("the stream of bindings was closed")
            raise
        finally:
            self._fail(asyncio.current_task(), broken)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the stream; bindings under way raise Unavailable. Idempotent."""
        running = self._running
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            # A stream that had not begun yet has told nobody of its end.
            self._fail(running, errors.Unavailable("the stream of bindings was closed"))

    def _fail(self, stream: asyncio.Task[None] | None, broken: errors.ApiError) -> None:
        """Tells whoever waits for answers of a stream that none comes any more."""
        if self._running is not stream:
            # Another one has been opened: who waits now waits for that.
            return
        # Those that come from here on open a new stream.
        self._running = None
        for answered in self._waiting.values():
            if not answered.done():
                answered.set_exception(type(broken)(broken.message, reason=broken.reason))
