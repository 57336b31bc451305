"""The verbs that every kind has: read, write, watch, wait.

Reads and other idempotent calls are repeated while the apiserver is away, within the call's deadline; writes that may
have happened are not. Errors are `steersman.errors`.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import grpc
from google.protobuf.message import Message

from steersman import errors, kinds
from steersman.autoscaling.v1.scale_pb2 import Scale, ScaleWriteRequest
from steersman.meta.v1.options_pb2 import DeleteOptions, Preconditions
from steersman.meta.v1.requests_pb2 import (
    BOOKMARK,
    DELETED,
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
from steersman.retry import Backoff
from steersman.until import Until, WaitTimeout, as_until

if TYPE_CHECKING:
    from steersman.client import Api

M = TypeVar("M", bound=Message)

# The apiserver sends a bookmark at least every 10 s; a watch that hears nothing for this long is broken.
WATCH_SILENCE_MAX_S = 30.0
# How often `modify` begins anew before the conflict is its caller's.
MODIFY_ATTEMPTS = 10


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
        self.api = api
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
    ) -> AsyncGenerator[WatchEvent[M], None]:
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
        call = method(request, metadata=self.api.metadata)
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
            task = asyncio.current_task()
            if silent and not (task is not None and task.cancelling()):
                raise errors.Unavailable(f"the watch was silent for {silence_max_s:g} s") from None
            raise
        finally:
            timer.cancel()
            call.cancel()

    async def wait(
        self,
        name: str,
        until: Until | Callable[[M | None], bool],
        *,
        namespace: str = "",
        timeout_s: float | None = None,
    ) -> M | None:
        """Waits until the named object is in a state; returns it as it was then, None when it is gone.

        A watch that breaks is begun again. The object need not be there yet.

        Args:
            name: its name.
            until: the state: of `steersman.until`, or a function of the object (None where there is none).
            namespace: its namespace.
            timeout_s: for how many seconds at most; None: for ever; 0: look once.

        Raises:
            WaitTimeout: it did not come about in time; `last` is the object as last seen.
            Forbidden: objects of this kind may not be watched.
        """
        wanted = as_until(until)
        last: M | None = None
        if timeout_s is not None and timeout_s <= 0:
            with suppress(errors.NotFound):
                last = await self.get(name, namespace=namespace)
            if wanted(last):
                return last
            raise WaitTimeout(f"{self.kind.singular}/{name}", wanted.text, 0, last)
        try:
            async with asyncio.timeout(timeout_s):
                async with aclosing(self._versions(name, namespace)) as versions:
                    async for last in versions:
                        if wanted(last):
                            return last
        except TimeoutError:
            what = f"{self.kind.singular}/{name}"
            raise WaitTimeout(what, wanted.text, timeout_s or 0, last) from None
        raise AssertionError("the versions of an object have no end")

    async def _versions(self, name: str, namespace: str) -> AsyncGenerator[M | None, None]:
        """The object as it is and as it becomes; None where it is not there."""
        backoff = Backoff(base_s=0.05, limit_s=1.0)
        heard = self.api.patient
        while True:
            found: M | None = None
            try:
                async with aclosing(self.watch(namespace=self._namespace(namespace), name=name)) as events:
                    async for event in events:
                        heard = True
                        backoff.reset()
                        if event.type != BOOKMARK:
                            found = event.object if event.type != DELETED else None
                            yield found
                        elif event.initial_state_end and found is None:
                            yield None
            except (errors.Unavailable, errors.Expired, errors.Exhausted):
                if not heard:
                    raise
            await asyncio.sleep(backoff.next_s())

    async def modify(
        self,
        name: str,
        change: Callable[[M], None],
        *,
        namespace: str = "",
        status: bool = False,
        field_manager: str = "",
    ) -> M:
        """Reads the object, changes it and writes it back; again when somebody else wrote meanwhile.

        Args:
            name: its name.
            change: changes the object in place; called again with the newest version after a conflict. When it
                changes nothing, nothing is written.
            namespace: its namespace.
            status: write the status, and nothing else of it.
            field_manager: who writes.

        Raises:
            NotFound: there is no such object.
            Conflict: others wrote first, again and again.
        """
        write = self.update_status if status else self.update
        for attempt in range(MODIFY_ATTEMPTS):
            found = await self.get(name, namespace=namespace)
            changed = type(found)()
            changed.CopyFrom(found)
            change(changed)
            if changed == found:
                return found
            try:
                return await write(changed, field_manager=field_manager)
            except errors.Conflict:
                if attempt == MODIFY_ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

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
            options=delete_options(uid, resource_version, grace_period_s, propagation_policy, dry_run),
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
            options=delete_options(None, None, None, None, dry_run),
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
        return (namespace or self.api.namespace) if self.kind.namespaced else ""

    async def _write(self, verb: str, obj: M, options: WriteOptions, *, idempotent: bool = False) -> M:
        if self.kind.namespaced and not obj.metadata.namespace:  # type: ignore[attr-defined]
            copy = type(obj)()
            copy.CopyFrom(obj)
            copy.metadata.namespace = self.api.namespace  # type: ignore[attr-defined]
            obj = copy
        request = self.kind.write_request(object=obj, options=options)
        return cast(M, await self._call(verb, request, self.kind.message, idempotent=idempotent))

    def _method(self, verb: str, request: type[Message], response: type[Message], *, streaming: bool = False) -> Any:
        method = self._methods.get(verb)
        if method is None:
            factory = self.api.channel.unary_stream if streaming else self.api.channel.unary_unary
            method = self._methods[verb] = factory(
                f"/{self.kind.service}/{verb}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
        return method

    async def _call(self, verb: str, request: Message, response: type[Message], *, idempotent: bool = False) -> Message:
        method = self._method(verb, type(request), response)
        return await self.api.unary(method, request, idempotent=idempotent)


def delete_options(
    uid: str | None,
    resource_version: str | None,
    grace_period_s: int | None,
    propagation_policy: str | None,
    dry_run: bool,
) -> DeleteOptions:
    """The options of a deletion as the wire has them; see `ResourceClient.delete`."""
    options = DeleteOptions(grace_period_seconds=grace_period_s, propagation_policy=propagation_policy)
    if uid is not None or resource_version is not None:
        options.preconditions.CopyFrom(Preconditions(uid=uid, resource_version=resource_version))
    if dry_run:
        options.dry_run.append("All")
    return options
