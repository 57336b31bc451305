"""The verbs of pods beside those that every kind has: bind, evict, logs, and streams to and from their containers.

async for piece in api.pods.logs("web-0", follow=True):
    ...
done = await api.pods.run("web-0", ["ls", "/"])
async with api.pods.start("web-0", ["sh"], stdin=True) as process:
    ...
async with api.pods.forward("web-0", 80) as port:
    ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

import grpc
from google.protobuf.message import Message

from steersman import errors
from steersman.core.v1.pod_pb2 import (
    Pod,
    PodAttachRequest,
    PodAttachResponse,
    PodAttachStart,
    PodBindManyRequest,
    PodBindManyResponse,
    PodBindRequest,
    PodExecRequest,
    PodExecResponse,
    PodExecStart,
    PodLogsRequest,
    PodLogsResponse,
    PodPortForwardRequest,
    PodPortForwardResponse,
    PodPortForwardStart,
)
from steersman.meta.v1.requests_pb2 import WriteOptions
from steersman.policy.v1.eviction_pb2 import Eviction
from steersman.resource import ResourceClient, delete_options
from steersman.streams.bindings import Bindings
from steersman.streams.connection import Connection, Forward
from steersman.streams.duplex import Duplex
from steersman.streams.process import Completed, Process

if TYPE_CHECKING:
    from steersman.streams.copying import Copied


class PodClient(ResourceClient[Pod]):
    """The verbs of pods."""

    async def bind(self, name: str, *, namespace: str = "", node_name: str, uid: str = "") -> Pod:
        """Binds the pod to a node.

        Raises:
            Conflict: the pod is bound already, or is not the one with this uid.
        """
        request = PodBindRequest(namespace=self._namespace(namespace), name=name, uid=uid, node_name=node_name)
        return cast(Pod, await self._call("Bind", request, Pod))

    async def logs(
        self,
        pod: str | PodLogsRequest,
        *,
        namespace: str = "",
        container: str = "",
        follow: bool = False,
        previous: bool = False,
        tail_lines: int | None = None,
        since_s: int | None = None,
        timestamps: bool = False,
    ) -> AsyncGenerator[bytes, None]:
        """Yields pieces of a container's log, as bytes: a piece may end within a line.

        Args:
            pod: name of the pod; or the whole request, to which the other arguments then add nothing.
            namespace: its namespace.
            container: the container; may be empty for a pod of one.
            follow: go on with what is written from now on.
            previous: of the container's run before this one.
            tail_lines: only so many lines from the end.
            since_s: only what was written in the last so many seconds.
            timestamps: the time of writing in front of each line.

        Raises:
            NotFound: there is no such pod, or container.
            FailedPrecondition: the container has not written anything yet: it has not started.
        """
        if isinstance(pod, PodLogsRequest):
            request = PodLogsRequest()
            request.CopyFrom(pod)
            request.namespace = pod.namespace or self.api.namespace
        else:
            request = PodLogsRequest(
                namespace=self._namespace(namespace),
                name=pod,
                container=container,
                follow=follow,
                previous=previous,
                tail_lines=tail_lines,
                since_seconds=since_s,
                timestamps=timestamps,
            )
        method = self._method("Logs", PodLogsRequest, PodLogsResponse, streaming=True)
        call = method(request, metadata=self.api.metadata)
        try:
            async for piece in call:
                yield piece.data
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error) from error
        finally:
            call.cancel()

    async def exec(self, requests: AsyncIterator[PodExecRequest]) -> AsyncGenerator[PodExecResponse, None]:
        """Runs a command in a container; the first request carries `start`, the last answer `exit_code`."""
        async for response in self._duplex("Exec", requests, PodExecRequest, PodExecResponse):
            yield response

    async def attach(self, requests: AsyncIterator[PodAttachRequest]) -> AsyncGenerator[PodAttachResponse, None]:
        """Connects to the streams of a container's program; the first request carries `start`."""
        async for response in self._duplex("Attach", requests, PodAttachRequest, PodAttachResponse):
            yield response

    def start(
        self,
        pod: str,
        command: Sequence[str],
        *,
        namespace: str = "",
        container: str = "",
        stdin: bool = False,
        tty: bool = False,
    ) -> Process:
        """A command in a container, run while the returned object's `async with` lasts.

        Args:
            pod: name of the pod.
            command: program and arguments; no shell looks at them.
            namespace: the pod's namespace.
            container: the container; may be empty for a pod of one.
            stdin: whether the command has an input to `write` to.
            tty: whether it has a terminal; everything it writes is then standard output.
        """
        start = PodExecStart(
            namespace=self._namespace(namespace), name=pod, container=container, command=command, stdin=stdin, tty=tty
        )
        return Process(self._duplex_of("Exec", PodExecRequest(start=start), PodExecResponse))

    async def run(
        self,
        pod: str,
        command: Sequence[str],
        *,
        namespace: str = "",
        container: str = "",
        input: bytes | None = None,
        timeout_s: float | None = None,
    ) -> Completed:
        """Runs a command in a container to its end, with an input; returns what it wrote and its exit code.

        Args:
            pod: name of the pod.
            command: program and arguments; no shell looks at them.
            namespace: the pod's namespace.
            container: the container; may be empty for a pod of one.
            input: its standard input; None: it has none.
            timeout_s: for how many seconds at most; the command is then given up, and may go on in the container.

        Raises:
            TimeoutError: it took longer.
            NotFound: there is no such pod, container or program.
        """
        async with (
            asyncio.timeout(timeout_s),
            self.start(pod, command, namespace=namespace, container=container, stdin=input is not None) as process,
        ):
            return await process.communicate(input or b"")

    def join(self, pod: str, *, namespace: str = "", container: str = "", stdin: bool = False) -> Process:
        """The program that a container runs, attached to while the returned object's `async with` lasts.

        It has no exit code here: its container has.
        """
        start = PodAttachStart(namespace=self._namespace(namespace), name=pod, container=container, stdin=stdin)
        return Process(self._duplex_of("Attach", PodAttachRequest(start=start), PodAttachResponse))

    async def copy_to(
        self, pod: str, source: str | PathLike[str], target: str, *, namespace: str = "", container: str = ""
    ) -> Copied:
        """Copies a file or a folder of this machine into a container, through `tar` there.

        Args:
            pod: name of the pod.
            source: what to copy.
            target: path in the container: an existing folder or one that ends with "/" takes it in under its own name.
            namespace: the pod's namespace.
            container: the container; may be empty for a pod of one.

        Raises:
            CopyError: it cannot be read here or written there, or there is no `tar` there.
        """
        from steersman.streams import copying

        return await copying.copy_to(self.api, pod, source, target, namespace=namespace, container=container)

    async def copy_from(
        self, pod: str, source: str, target: str | PathLike[str], *, namespace: str = "", container: str = ""
    ) -> Copied:
        """Copies a file or a folder of a container to this machine, through `tar` there; nothing lands beside `target`.

        Args:
            pod: name of the pod.
            source: path in the container.
            target: path here, as for `copy_to`.
            namespace: the pod's namespace.
            container: the container; may be empty for a pod of one.

        Raises:
            CopyError: it cannot be read there or written here, or the container sent what was not asked for.
        """
        from steersman.streams import copying

        return await copying.copy_from(self.api, pod, source, target, namespace=namespace, container=container)

    def dial(self, pod: str, port: int, *, namespace: str = "") -> Connection:
        """A connection to a TCP port of the pod, open while the returned object's `async with` lasts."""
        start = PodPortForwardStart(namespace=self._namespace(namespace), name=pod, port=port)
        return Connection(self._duplex_of("PortForward", PodPortForwardRequest(start=start), PodPortForwardResponse))

    def forward(
        self,
        pod: str,
        port: int,
        *,
        namespace: str = "",
        local_port: int = 0,
        address: str = "127.0.0.1",
        on_error: Callable[[errors.ApiError], None] | None = None,
    ) -> Forward:
        """A local port whose connections go to a port of the pod, while the returned object's `async with` lasts.

        Args:
            pod: name of the pod.
            port: its port.
            namespace: its namespace.
            local_port: where to listen; 0: at any port that is free, which the `async with` gives.
            address: the local address.
            on_error: told of connections that failed; by default nobody is.
        """
        return Forward(
            lambda: self.dial(pod, port, namespace=namespace), address=address, port=local_port, on_error=on_error
        )

    async def bind_many(self, requests: AsyncIterator[PodBindManyRequest]) -> AsyncGenerator[PodBindManyResponse, None]:
        """Binds pods; one response for each request, in their order. A failed binding is a response and no error."""
        async for response in self._duplex("BindMany", requests, PodBindManyRequest, PodBindManyResponse):
            yield response

    def bindings(self) -> Bindings:
        """Bindings over one stream while the returned object's `async with` lasts; for those who bind many pods.

        Raises, with the first binding: Forbidden, to who may not bind pods in all namespaces.
        """
        return Bindings(self.bind_many, self.api.namespace)

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
            delete_options=delete_options(uid, resource_version, grace_period_s, None, dry_run),
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
    ) -> AsyncGenerator[PodPortForwardResponse, None]:
        """Relays one connection to a port of the pod; the first request carries `start`."""
        async for response in self._duplex("PortForward", requests, PodPortForwardRequest, PodPortForwardResponse):
            yield response

    def _stream(self, verb: str, request: type[Message], response: type[Message]) -> Any:
        method = self._methods.get(verb)
        if method is None:
            method = self._methods[verb] = self.api.channel.stream_stream(
                f"/{self.kind.service}/{verb}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
        return method

    def _duplex_of(self, verb: str, start: Message, response: type[Message]) -> Duplex:
        return Duplex(lambda: self._stream(verb, type(start), response)(metadata=self.api.metadata), start)

    async def _duplex(
        self, verb: str, requests: AsyncIterator[Any], request: type[Message], response: type[Message]
    ) -> AsyncGenerator[Any, None]:
        call = self._stream(verb, request, response)(requests, metadata=self.api.metadata)
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error) from error
        finally:
            call.cancel()
