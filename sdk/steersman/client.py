"""The client of the apiserver.

    async with connect() as api:
        pod = await api.pods.get("web-0", namespace="default")
        async for event in api.pods.watch(namespace="default"):
            ...

Each kind has a `steersman.resource.ResourceClient` with the verbs that all kinds have; `api.pods` adds the pods' own.
Errors are `steersman.errors`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar, overload

import grpc
from google.protobuf.message import Message

from steersman import config, errors, kinds
from steersman._api_attributes import ApiAttributes
from steersman.config import Context
from steersman.meta.v1.requests_pb2 import ADDED, BOOKMARK, DELETED, MODIFIED
from steersman.pods import PodClient
from steersman.resource import ResourceClient, WatchEvent
from steersman.retry import Backoff
from steersman.service.http2.channel import Channel, Dialing
from steersman.service.tls import client_context

__all__ = ["ADDED", "BOOKMARK", "DELETED", "MODIFIED", "Api", "PodClient", "ResourceClient", "WatchEvent", "connect"]

M = TypeVar("M", bound=Message)
Metadata = tuple[tuple[str, str], ...]

CALL_TIMEOUT_S = 30.0
WARNING_KEY = "steersman-warning-bin"

# A server's machine that gives no sign of life for so long is gone: the next call looks for another.
SERVER_SILENCE_MAX_S = 30

# The longest answer: a page of a list is shorter.
MESSAGE_BYTES_MAX = 64 * 1024 * 1024


class Api(ApiAttributes):
    """A connection to the apiserver, with one client per kind: `api.pods`, `api.deployments`, ...

    Attributes:
        channel: the gRPC channel.
        namespace: namespace where none is named.
        metadata: sent with every call.
    """

    def __init__(
        self,
        channel: Channel | grpc.aio.Channel,
        *,
        namespace: str = "default",
        token: str = "",
        token_file: Path | None = None,
        on_warning: Callable[[str], None] | None = None,
    ) -> None:
        self.channel = channel
        self.namespace = namespace
        self._metadata: Metadata = _bearer(token) if token else ()
        self._token_file = token_file
        self._token_version = 0
        self._on_warning = on_warning
        self._resources: dict[str, ResourceClient[Any]] = {}

    @property
    def metadata(self) -> Metadata:
        """What is sent with every call: the bearer token among it, as its file has it now."""
        if self._token_file is not None:
            # A token that is replaced while it is read is one that is still good: the next call has the new one.
            with suppress(OSError):
                version = self._token_file.stat().st_mtime_ns
                if version != self._token_version:
                    others = tuple(pair for pair in self._metadata if pair[0] != "authorization")
                    self._metadata = (*_bearer(self._token_file.read_text().strip()), *others)
                    self._token_version = version
        return self._metadata

    @metadata.setter
    def metadata(self, pairs: Metadata) -> None:
        self._metadata = pairs

    @overload
    def resource(self, kind: kinds.Kind) -> ResourceClient[Any]: ...

    @overload
    def resource(self, kind: type[M]) -> ResourceClient[M]: ...

    def resource(self, kind: kinds.Kind | type[Any]) -> ResourceClient[Any]:
        """The client of a kind, given as a kind or as its message class."""
        found = kind if isinstance(kind, kinds.Kind) else kinds.of(kind)
        client = self._resources.get(found.service)
        if client is None:
            factory: Any = PodClient if found.service == "steersman.core.v1.Pods" else ResourceClient
            client = self._resources[found.service] = factory(self, found)
        return client

    async def unary(
        self, method: Any, request: Message, *, idempotent: bool = False, timeout_s: float = CALL_TIMEOUT_S
    ) -> Message:
        """Makes a call; an idempotent one is repeated while the apiserver is away, within `timeout_s` seconds.

        Raises:
            ApiError: the call failed.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        backoff = Backoff(base_s=0.05, limit_s=1.0)
        while True:
            call = method(request, timeout=max(0.001, deadline - loop.time()), metadata=self.metadata)
            try:
                response: Message = await call
                if self._on_warning is not None:
                    for key, value in await call.trailing_metadata():
                        if key == WARNING_KEY:
                            self._on_warning(value.decode(errors="replace") if isinstance(value, bytes) else value)
                return response
            except grpc.aio.AioRpcError as error:
                if idempotent and error.code() is grpc.StatusCode.UNAVAILABLE and self.patient:
                    delay_s = backoff.next_s()
                    if loop.time() + delay_s < deadline:
                        await asyncio.sleep(delay_s)
                        continue
                raise errors.from_rpc(error) from error

    # Whether to wait for an apiserver that is away; components do, the command line tells at once.
    patient = True

    async def close(self) -> None:
        """Closes the connection; running calls are cut."""
        await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


def open_channel(context: Context) -> Channel:
    """A channel to a context's server; connects when it is first used."""
    tls = client_context(context.authority, context.certificate, context.key)
    dialing = Dialing(
        tls=tls,
        server_name=context.server_name,
        message_bytes=MESSAGE_BYTES_MAX,
        # A component that was killed is back in about a second: look for it often.
        pause_s=0.1,
        pause_max_s=1.0,
        silence_max_s=SERVER_SILENCE_MAX_S,
    )
    return Channel(context.server, dialing)


def connect(
    path: Path | None = None,
    *,
    context: str | None = None,
    namespace: str | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> Api:
    """A client from the configuration file (`path`, $STEERCONFIG or ~/.steer/config).

    Raises:
        ConfigError: the configuration cannot be used.
        TLSFileError: one of its certificate files cannot be read.
    """
    return connect_to(config.with_namespace(config.load(path, context), namespace), on_warning=on_warning)


def connect_to(context: Context, *, on_warning: Callable[[str], None] | None = None) -> Api:
    """A client of the server that a context names."""
    return Api(
        open_channel(context),
        namespace=context.namespace,
        token=context.token,
        token_file=context.token_file,
        on_warning=on_warning,
    )


def print_warning(text: str) -> None:
    """Writes a server's warning to standard error."""
    print(f"warning: {text}", file=sys.stderr)  # noqa: T201
