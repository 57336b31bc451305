"""The typed client of the apiserver.

    async with connect() as api:
        pod = await api.pods.get("web-0", namespace="default")
        async for event in api.pods.watch(namespace="default"):
            ...

Each kind has a `ResourceClient` with the verbs that all kinds have; `api.pods` adds the pods' own. Reads and other
idempotent calls are repeated while the apiserver is away, within the call's deadline; writes that may have happened
are not. Errors are `steersman.errors`.
"""

from __future__ import annotations

import asyncio
import builtins
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, cast, overload

import grpc
from google.protobuf.message import Message

from steersman import config, errors, kinds
from steersman._api_attributes import ApiAttributes
from steersman.autoscaling.v1.scale_pb2 import Scale, ScaleWriteRequest
from steersman.config import Context
from steersman.core.v1.pod_pb2 import (
    Pod,
    PodAttachRequest,
    PodAttachResponse,
    PodBindManyRequest,
    PodBindManyResponse,
    PodBindRequest,
    PodExecRequest,
    PodExecResponse,
    PodLogsRequest,
    PodLogsResponse,
    PodPortForwardRequest,
    PodPortForwardResponse,
)
from steersman.meta.v1.options_pb2 import DeleteOptions, Preconditions
from steersman.meta.v1.requests_pb2 import (
    ADDED,
    BOOKMARK,
    DELETED,
    MODIFIED,
    STRATEGIC_MERGE,
    DeleteCollectionRequest,
    DeleteRequest,
    FieldValidation,
    GetRequest,
    ListRequest,
    PatchRequest,
    PatchType,
    ScaleRequest,
    WatchEventType,
    WatchRequest,
    WriteOptions,
)
from steersman.policy.v1.eviction_pb2 import Eviction
from steersman.retry import Backoff
from steersman.service.http2.channel import Channel, Dialing
from steersman.service.tls import client_context

__all__ = ["ADDED", "BOOKMARK", "DELETED", "MODIFIED", "Api", "PodClient", "ResourceClient", "WatchEvent", "connect"]

M = TypeVar("M", bound=Message)
Metadata = tuple[tuple[str, str], ...]

# The apiserver sends a bookmark at least every 10 s; a watch that hears nothing for this long is broken.
WATCH_SILENCE_MAX_S = 30.0
CALL_TIMEOUT_S = 30.0
WARNING_KEY = "steersman-warning-bin"

# The longest answer: a page of a list is shorter.
MESSAGE_BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True)
class WatchEvent(Generic[M]):
    """One message of a watch.

    Attributes:
        type: ADDED, MODIFIED, DELETED or BOOKMARK.
        object: the object after the change (for DELETED as it was last); None in a BOOKMARK.
        resource_version: what a later watch resumes from.
        initial_state_end: in the first BOOKMARK: everything that existed has been sent.
    """

    type: WatchEventType
    object: M | None
    resource_version: str
    initial_state_end: bool


class ResourceClient(Generic[M]):
    """The verbs of one kind."""

    def __init__(self, api: Api, kind: kinds.Kind) -> None:
        self._api = api
        self.kind = kind
        self._methods: dict[str, Any] = {}

    async def get(self, name: str, *, namespace: str = "") -> M:
        """Returns the named object.

        Raises:
            NotFound: there is none.
        """
        request = GetRequest(namespace=self._namespace(namespace), name=name)
        return cast(M, await self._call("Get", request, self.kind.message, idempotent=True))

    async def list(
        self, *, namespace: str = "", label_selector: str = "", field_selector: str = "", page: int = 5000
    ) -> list[M]:
        """Returns the matching objects as of one revision; an empty namespace means all."""
        objects, _ = await self.list_at(
            namespace=namespace, label_selector=label_selector, field_selector=field_selector, page=page
        )
        return objects

    async def list_at(
        self, *, namespace: str = "", label_selector: str = "", field_selector: str = "", page: int = 5000
    ) -> tuple[builtins.list[M], str]:
        """As `list`, and the revision that the objects are as of."""
        objects: builtins.list[M] = []
        token = ""
        while True:
            request = ListRequest(
                namespace=namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                limit=page,
                continue_token=token,
            )
            answer: Any = await self._call("List", request, self.kind.list_message, idempotent=True)
            objects.extend(answer.items)
            token = answer.metadata.continue_token
            if not token:
                return objects, answer.metadata.resource_version

    async def watch(
        self,
        *,
        namespace: str = "",
        name: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        silence_max_s: float = WATCH_SILENCE_MAX_S,
    ) -> AsyncIterator[WatchEvent[M]]:
        """Yields the present state (unless resuming from a `resource_version`), a bookmark, and then every change.

        Ends only by an error; see `steersman.informer` for one that goes on for ever.

        Raises:
            Expired: the revision to resume from is compacted.
            Exhausted: this reader is too slow.
            Unavailable: the connection broke, or nothing was heard for `silence_max_s` seconds.
        """
        request = WatchRequest(
            namespace=namespace,
            name=name,
            label_selector=label_selector,
            field_selector=field_selector,
            resource_version=resource_version,
        )
        method = self._method("Watch", WatchRequest, self.kind.watch_event, streaming=True)
        call = method(request, metadata=self._api.metadata)
        loop = asyncio.get_running_loop()
        heard = loop.time()
        silent = False
        timer: asyncio.TimerHandle

        def check_silence() -> None:
            nonlocal silent, timer
            quiet_s = loop.time() - heard
            if quiet_s >= silence_max_s:
                silent = True
                call.cancel()
            else:
                timer = loop.call_later(silence_max_s - quiet_s + 0.01, check_silence)

        timer = loop.call_later(silence_max_s, check_silence)
        try:
            while True:
                message = await call.read()
                if message is grpc.aio.EOF:
                    raise errors.Unavailable("the watch was ended by the server")
                heard = loop.time()
                yield WatchEvent(
                    type=message.type,
                    object=message.object if message.type != BOOKMARK else None,
                    resource_version=message.resource_version,
                    initial_state_end=message.initial_state_end,
                )
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error) from error
        except asyncio.CancelledError:
            if silent:
                raise errors.Unavailable(f"the watch was silent for {silence_max_s:g} s") from None
            raise
        finally:
            timer.cancel()
            call.cancel()

    async def create(self, obj: M, *, field_manager: str = "", dry_run: bool = False) -> M:
        """Stores a new object and returns it as stored.

        Raises:
            AlreadyExists: the name is taken.
            Invalid: the object is wrong; `violations` says where.
        """
        return await self._write("Create", obj, WriteOptions(field_manager=field_manager, dry_run=dry_run))

    async def update(self, obj: M, *, field_manager: str = "", dry_run: bool = False) -> M:
        """Replaces the object (but not its status).

        Raises:
            Conflict: `metadata.resource_version` is set and is not the current one.
            NotFound: there is no such object.
        """
        return await self._write("Update", obj, WriteOptions(field_manager=field_manager, dry_run=dry_run))

    async def update_status(self, obj: M, *, field_manager: str = "", dry_run: bool = False) -> M:
        """Replaces the object's status and nothing else; raises as `update`."""
        return await self._write("UpdateStatus", obj, WriteOptions(field_manager=field_manager, dry_run=dry_run))

    async def apply(self, obj: M, *, field_manager: str, force: bool = False, dry_run: bool = False) -> M:
        """Makes the given fields so and owns them; creates the object where there is none. Idempotent.

        Raises:
            Conflict: another manager applied a different value, and `force` is not set.
        """
        options = WriteOptions(field_manager=field_manager, force=force, dry_run=dry_run)
        return await self._write("Apply", obj, options, idempotent=True)

    async def patch(
        self,
        name: str,
        patch: bytes,
        *,
        namespace: str = "",
        type: PatchType = STRATEGIC_MERGE,
        subresource: str = "",
        field_manager: str = "",
        dry_run: bool = False,
        field_validation: FieldValidation | None = None,
    ) -> M:
        """Changes a part of the object; `patch` is JSON. With subresource "status" only the status changes.

        Raises:
            NotFound: there is no such object.
            Invalid: the patch, or what it makes of the object, is wrong.
        """
        request = PatchRequest(
            namespace=self._namespace(namespace),
            name=name,
            type=type,
            patch=patch,
            subresource=subresource,
            options=WriteOptions(field_manager=field_manager, dry_run=dry_run, field_validation=field_validation),
        )
        return cast(M, await self._call("Patch", request, self.kind.message))

    async def delete(
        self,
        name: str,
        *,
        namespace: str = "",
        uid: str | None = None,
        resource_version: str | None = None,
        grace_period_s: int | None = None,
        propagation_policy: str | None = None,
        dry_run: bool = False,
    ) -> M:
        """Deletes the object, or marks it as being deleted; returns it as it was last.

        Args:
            name: its name.
            namespace: its namespace.
            uid: delete only the object with this uid.
            resource_version: delete only this version.
            grace_period_s: seconds to stop in; None: the object's own; 0: at once.
            propagation_policy: "Background", "Foreground" or "Orphan"; None: the kind's default.
            dry_run: say what would happen, and do nothing.

        Raises:
            NotFound: there is no such object.
            Conflict: a precondition does not hold.
        """
        request = DeleteRequest(
            namespace=self._namespace(namespace),
            name=name,
            options=_delete_options(uid, resource_version, grace_period_s, propagation_policy, dry_run),
        )
        return cast(M, await self._call("Delete", request, self.kind.message))

    async def delete_collection(
        self, *, namespace: str = "", label_selector: str = "", field_selector: str = "", dry_run: bool = False
    ) -> builtins.list[M]:
        """Deletes all matching objects as `delete` does and returns them."""
        request = DeleteCollectionRequest(
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            options=_delete_options(None, None, None, None, dry_run),
        )
        answer: Any = await self._call("DeleteCollection", request, self.kind.list_message)
        return list(answer.items)

    async def scale(self, name: str, replicas: int, *, namespace: str = "") -> M:
        """Sets how many replicas the object asks for. Idempotent.

        Raises:
            Unsupported: the kind has no replicas.
        """
        request = ScaleRequest(namespace=self._namespace(namespace), name=name, replicas=replicas)
        return cast(M, await self._call("Scale", request, self.kind.message, idempotent=True))

    async def get_scale(self, name: str, *, namespace: str = "") -> Scale:
        """How many replicas the object wants and has.

        Raises:
            NotFound: there is no such object.
            Unsupported: the kind has no replicas.
        """
        request = GetRequest(namespace=self._namespace(namespace), name=name)
        return cast(Scale, await self._call("GetScale", request, Scale, idempotent=True))

    async def update_scale(self, scale: Scale, *, field_manager: str = "", dry_run: bool = False) -> Scale:
        """Sets how many replicas the object wants: the one, and at the version, that the metadata says.

        Raises:
            Conflict: it is another object, or another version of it.
        """
        options = WriteOptions(field_manager=field_manager, dry_run=dry_run)
        return cast(Scale, await self._call("UpdateScale", ScaleWriteRequest(object=scale, options=options), Scale))

    def _namespace(self, namespace: str) -> str:
        return (namespace or self._api.namespace) if self.kind.namespaced else ""

    async def _write(self, verb: str, obj: M, options: WriteOptions, *, idempotent: bool = False) -> M:
        if self.kind.namespaced and not obj.metadata.namespace:  # type: ignore[attr-defined]
            copy = type(obj)()
            copy.CopyFrom(obj)
            copy.metadata.namespace = self._api.namespace  # type: ignore[attr-defined]
            obj = copy
        request = self.kind.write_request(object=obj, options=options)
        return cast(M, await self._call(verb, request, self.kind.message, idempotent=idempotent))

    def _method(self, verb: str, request: type[Message], response: type[Message], *, streaming: bool = False) -> Any:
        method = self._methods.get(verb)
        if method is None:
            factory = self._api.channel.unary_stream if streaming else self._api.channel.unary_unary
            method = self._methods[verb] = factory(
                f"/{self.kind.service}/{verb}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
        return method

    async def _call(self, verb: str, request: Message, response: type[Message], *, idempotent: bool = False) -> Message:
        method = self._method(verb, type(request), response)
        return await self._api.unary(method, request, idempotent=idempotent)


class PodClient(ResourceClient[Pod]):
    """The verbs of pods."""

    async def bind(self, name: str, *, namespace: str = "", node_name: str, uid: str = "") -> Pod:
        """Binds the pod to a node.

        Raises:
            Conflict: the pod is bound already, or is not the one with this uid.
        """
        request = PodBindRequest(namespace=self._namespace(namespace), name=name, uid=uid, node_name=node_name)
        return cast(Pod, await self._call("Bind", request, Pod))

    async def logs(self, request: PodLogsRequest) -> AsyncIterator[bytes]:
        """Yields pieces of a container's log."""
        if not request.namespace:
            request.namespace = self._api.namespace
        method = self._method("Logs", PodLogsRequest, PodLogsResponse, streaming=True)
        call = method(request, metadata=self._api.metadata)
        try:
            async for piece in call:
                yield piece.data
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error) from error
        finally:
            call.cancel()

    async def exec(self, requests: AsyncIterator[PodExecRequest]) -> AsyncIterator[PodExecResponse]:
        """Runs a command in a container; the first request carries `start`, the last answer `exit_code`."""
        async for response in self._duplex("Exec", requests, PodExecRequest, PodExecResponse):
            yield response

    async def attach(self, requests: AsyncIterator[PodAttachRequest]) -> AsyncIterator[PodAttachResponse]:
        """Connects to the streams of a container's program; the first request carries `start`."""
        async for response in self._duplex("Attach", requests, PodAttachRequest, PodAttachResponse):
            yield response

    async def bind_many(self, requests: AsyncIterator[PodBindManyRequest]) -> AsyncIterator[PodBindManyResponse]:
        """Binds pods; one response for each request, in their order. A failed binding is a response and no error."""
        async for response in self._duplex("BindMany", requests, PodBindManyRequest, PodBindManyResponse):
            yield response

    async def evict(
        self,
        name: str,
        *,
        namespace: str = "",
        uid: str | None = None,
        resource_version: str | None = None,
        grace_period_s: int | None = None,
        dry_run: bool = False,
    ) -> Pod:
        """Deletes the pod as `delete` does, if the budgets for disruption allow it.

        Raises:
            Exhausted: a budget allows none now.
            FailedPrecondition: more than one budget is for the pod.
            NotFound: there is no such pod.
            Conflict: it is not the pod with this uid, or not this version.
        """
        request = Eviction(
            delete_options=_delete_options(uid, resource_version, grace_period_s, None, dry_run),
        )
        request.metadata.name, request.metadata.namespace = name, self._namespace(namespace)
        return cast(Pod, await self._call("Evict", request, Pod))

    async def update_ephemeral_containers(self, pod: Pod, *, field_manager: str = "", dry_run: bool = False) -> Pod:
        """Adds the ephemeral containers of the object to the pod; nothing else of it is looked at.

        Raises:
            Invalid: one that is there is missing or changed, or a new one is wrong.
        """
        options = WriteOptions(field_manager=field_manager, dry_run=dry_run)
        return await self._write("UpdateEphemeralContainers", pod, options)

    async def resize(self, pod: Pod, *, field_manager: str = "", dry_run: bool = False) -> Pod:
        """Gives the pod's containers the resources of the object's; nothing else of it is looked at.

        Raises:
            Invalid: more than cpu and memory changes, or the class of service would.
        """
        return await self._write("Resize", pod, WriteOptions(field_manager=field_manager, dry_run=dry_run))

    async def port_forward(
        self, requests: AsyncIterator[PodPortForwardRequest]
    ) -> AsyncIterator[PodPortForwardResponse]:
        """Relays one connection to a port of the pod; the first request carries `start`."""
        async for response in self._duplex("PortForward", requests, PodPortForwardRequest, PodPortForwardResponse):
            yield response

    async def _duplex(
        self, verb: str, requests: AsyncIterator[Any], request: type[Message], response: type[Message]
    ) -> AsyncIterator[Any]:
        method = self._methods.get(verb)
        if method is None:
            method = self._methods[verb] = self._api.channel.stream_stream(
                f"/{self.kind.service}/{verb}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
        call = method(requests, metadata=self._api.metadata)
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error) from error
        finally:
            call.cancel()


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
                            self._on_warning(value.decode() if isinstance(value, bytes) else value)
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


def _delete_options(
    uid: str | None,
    resource_version: str | None,
    grace_period_s: int | None,
    propagation_policy: str | None,
    dry_run: bool,
) -> DeleteOptions:
    options = DeleteOptions(grace_period_seconds=grace_period_s, propagation_policy=propagation_policy)
    if uid is not None or resource_version is not None:
        options.preconditions.CopyFrom(Preconditions(uid=uid, resource_version=resource_version))
    if dry_run:
        options.dry_run.append("All")
    return options


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
