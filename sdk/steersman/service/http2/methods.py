"""What can be called, and how a handler is run."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import grpc
from google.protobuf.message import DecodeError

from steersman.log import get_logger
from steersman.service.http2.call import Call
from steersman.service.http2.fields import Head
from steersman.service.http2.messages import ENCODINGS

log = get_logger(__name__)

_UNIMPLEMENTED = int(grpc.StatusCode.UNIMPLEMENTED.value[0])
_INVALID = int(grpc.StatusCode.INVALID_ARGUMENT.value[0])
_INTERNAL = int(grpc.StatusCode.INTERNAL.value[0])


class Undecodable(Exception):
    """A request's bytes are no message of its type."""


class Method:
    """One method of a service, run for each call of it."""

    __slots__ = ("_answers_stream", "_behaviour", "_deserialize", "_serialize", "path", "takes_stream")

    def __init__(self, path: str, handler: Any) -> None:
        """Takes gRPC's handler; its function is a coroutine function or, for streamed responses, a generator too.

        A generator may yield a list of responses, which are sent together.
        """
        self.path = path
        self.takes_stream = bool(handler.request_streaming)
        self._answers_stream = bool(handler.response_streaming)
        self._deserialize: Callable[[bytes], Any] | None = handler.request_deserializer
        self._serialize: Callable[[Any], bytes] | None = handler.response_serializer
        behaviours = (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream)
        self._behaviour: Callable[..., Any] = next(behaviour for behaviour in behaviours if behaviour is not None)

    def decode(self, raw: bytes) -> Any:
        """A request. Raises Undecodable."""
        if self._deserialize is None:
            return raw
        try:
            return self._deserialize(raw)
        except (DecodeError, ValueError) as error:
            raise Undecodable from error

    def encode(self, response: Any) -> bytes:
        """A response, serialised."""
        if self._serialize is None:
            return response  # type: ignore[no-any-return]
        return self._serialize(response)

    async def run(self, call: Call) -> None:
        """Runs the handler and ends the call with what became of it. Raises nothing but CancelledError."""
        try:
            await self._run(call)
        except grpc.aio.AbortError:
            # The handler ended the call itself.
            pass
        except Undecodable:
            call.finish(_INVALID, "the request is not a message of the method's type")
        except asyncio.CancelledError:
            call.finish(grpc.StatusCode.CANCELLED.value[0], "the server gave the call up")
            raise
        except Exception:
            log.exception("a call failed", method=self.path)
            call.finish(_INTERNAL, "the server failed; its log says more")

    async def _run(self, call: Call) -> None:
        request = self._requests(call) if self.takes_stream else self.decode(call.only_request())
        made = self._behaviour(request, call)
        if not self._answers_stream:
            response = self.encode(await made)
            if call.is_ok and call.answer(response):
                return
            if call.is_ok:
                await call.send(response)
        elif inspect.isasyncgen(made):
            try:
                async for item in made:
                    if type(item) is list:
                        await call.send_all([self.encode(one) for one in item])
                    else:
                        await call.send(self.encode(item))
                    if call.ended:
                        return
            finally:
                await made.aclose()
        else:
            await made
        call.finish()

    async def _requests(self, call: Call) -> Any:
        async for raw in call.requests():
            yield self.decode(raw)


class _Details(NamedTuple):
    """How gRPC's generic handlers are asked for a method."""

    method: str
    invocation_metadata: tuple[()] = ()


class Methods:
    """Everything that one server can be asked for."""

    def __init__(self) -> None:
        self._generic: list[grpc.GenericRpcHandler] = []
        self._known: dict[str, Method] = {}

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Adds handlers; the name is gRPC's, since its generated code calls it."""
        self._generic += handlers

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Adds handlers by method name; the name is gRPC's, since its generated code calls it."""
        for name, handler in handlers.items():
            path = f"/{service}/{name}"
            self._known[path] = Method(path, handler)

    def find(self, head: Head) -> Method | tuple[int, str] | None:
        """What a request asks for, or the status that refuses it; None when it is not gRPC."""
        if head.method != b"POST" or not head.content_type.startswith(b"application/grpc"):
            return None
        if head.encoding not in ENCODINGS:
            return _UNIMPLEMENTED, f"messages compressed with {head.encoding.decode('latin-1')} cannot be read"
        if head.timeout_s is not None and math.isnan(head.timeout_s):
            return _INVALID, "grpc-timeout cannot be read"
        method = self._known.get(head.path)
        if method is None:
            method = self._look_up(head.path)
        if method is None:
            return _UNIMPLEMENTED, f"unknown method {head.path}"
        return method

    def _look_up(self, path: str) -> Method | None:
        for generic in self._generic:
            handler = generic.service(_Details(path))  # type: ignore[arg-type]
            if handler is not None:
                self._known[path] = made = Method(path, handler)
                return made
        return None
