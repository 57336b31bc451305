"""The verbs that every kind has, as one generic gRPC handler. Objects stay bytes wherever nothing looks into them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from steersman import selectors
from steersman.client import WARNING_KEY
from steersman.meta.v1.list_meta_pb2 import ListMeta
from steersman.meta.v1.requests_pb2 import (
    STRICT,
    DeleteCollectionRequest,
    DeleteRequest,
    GetRequest,
    ListRequest,
    PatchRequest,
    WatchRequest,
)

from apiserver import errors
from apiserver.authn import User
from apiserver.authz.attributes import Attributes
from apiserver.patch import patches
from apiserver.registry import SPEC, STATUS_ONLY, Registry, Written
from apiserver.rpc.continuation import Continuation, decode, encode
from apiserver.rpc.errors import shortened
from apiserver.rpc.guard import Guard
from apiserver.rpc.scale import ScaleHandlers
from apiserver.storage.port import Compacted, Stored
from apiserver.watchcache import frames
from apiserver.watchcache.cache import messages
from apiserver.watchcache.watcher import Entry, Selection

_ITEM_TAG = b"\x12"
_METADATA_TAG = b"\x0a"
WARNINGS_MAX, WARNING_BYTES_MAX = 16, 240
# Objects are read from the store so many at a time, and a page ends when it holds so many bytes, so that any number of
# objects of any size can be listed: the answer is bounded, and the caller follows the token.
READ_AT_ONCE = 500
PAGE_BYTES_MAX = 8 * 1024 * 1024
ENCODED_AT_ONCE = 500


def _field(tag: bytes, data: bytes) -> bytes:
    return tag + frames.varint(len(data)) + data


def _revision(text: str) -> int | None:
    """A revision as requests have it; None when it is not given."""
    if text and not text.isdecimal():
        raise errors.BadRequest("resource_version", f"{text!r} is not a revision")
    return int(text) if text else None


class ResourceHandlers:
    """The rpc handlers of one kind."""

    def __init__(self, registry: Registry, guard: Guard) -> None:
        self._registry = registry
        self._guard = guard

    def methods(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """The kind's rpcs by name."""
        write = self._registry.kind.write_request
        verbs: dict[str, tuple[Any, Any]] = {
            "Get": (GetRequest, self.get),
            "List": (ListRequest, self.read_list),
            "Create": (write, self.create),
            "Update": (write, self.update),
            "Patch": (PatchRequest, self.patch),
            "Apply": (write, self.apply),
            "Delete": (DeleteRequest, self.delete),
            "DeleteCollection": (DeleteCollectionRequest, self.delete_collection),
        }
        if self._registry.kind.has_status:
            verbs["UpdateStatus"] = (write, self.update_status)
        resource = self._registry.resource
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        for name, (request, call) in verbs.items():
            rule = (f"{resource}/status", "update") if name == "UpdateStatus" else (resource, name.lower())
            methods[name] = grpc.unary_unary_rpc_method_handler(
                self._guard.unary(*rule, call), request_deserializer=request.FromString
            )
        methods["Watch"] = grpc.unary_stream_rpc_method_handler(
            self._guard.stream(resource, "watch", self.watch), request_deserializer=WatchRequest.FromString
        )
        return methods

    # --- reads ------------------------------------------------------------------------------------------------------

    async def get(self, user: User, request: GetRequest, context: Any) -> bytes:
        """Get."""
        stored = await self._registry.read(request.namespace, request.name)
        return frames.versioned(stored.value, stored.revision)

    async def read_list(self, user: User, request: ListRequest, context: Any) -> bytes:
        """List."""
        selection = self._selection(request.namespace, "", request.label_selector, request.field_selector)
        if request.limit < 0:
            raise errors.BadRequest("limit", f"{request.limit} is negative")
        if not request.continue_token:
            cached = await self._registry.read_all(selection, since=_revision(request.resource_version))
            if cached is not None:
                return await self._page_of(*cached, request)
        items, metadata = await self._select(selection, request)
        parts = [_field(_METADATA_TAG, metadata.SerializeToString())]
        parts += [_field(_ITEM_TAG, frames.versioned(item.value, item.revision)) for item in items]
        return b"".join(parts)

    async def _page_of(self, found: list[tuple[str, Entry]], revision: int, request: ListRequest) -> bytes:
        """The first page of what was found as of a revision; the next ones are the store's."""
        items: list[bytes] = []
        size = 0
        for key, entry in found:
            if (request.limit and len(items) == request.limit) or size >= PAGE_BYTES_MAX:
                break
            items.append(_field(_ITEM_TAG, frames.versioned(entry.data, entry.revision)))
            size += len(items[-1])
            last = key
            if len(items) % ENCODED_AT_ONCE == 0:
                # Others have their turn while a long answer is put together.
                await asyncio.sleep(0)
        metadata = ListMeta(resource_version=str(revision))
        if len(items) < len(found):
            metadata.continue_token = encode(Continuation(last, revision), self._registry.prefix)
            if not request.label_selector and not request.field_selector:
                metadata.remaining_item_count = len(found) - len(items)
        return b"".join((_field(_METADATA_TAG, metadata.SerializeToString()), *items))

    async def _select(self, selection: Selection, request: ListRequest) -> tuple[list[Stored], ListMeta]:
        """A page of what matches; pages of the store are read until the page is full or nothing is left."""
        start = Continuation("", 0)
        if request.continue_token:
            place = self._registry.place(selection.namespace)
            start = decode(request.continue_token, self._registry.prefix, place)
        chosen: list[Stored] = []
        after, revision, remaining, size = start.after, start.revision, 0, 0
        plain = selection == Selection(namespace=selection.namespace)
        while True:
            wanted = min(request.limit - len(chosen), READ_AT_ONCE) if request.limit and plain else READ_AT_ONCE
            try:
                page = await self._registry.list_page(selection.namespace, after=after, limit=wanted, revision=revision)
            except Compacted:
                if not request.continue_token:
                    raise
                # The first page's revision is gone: go on from the same key as of now, as Kubernetes does.
                revision = 0
                page = await self._registry.list_page(selection.namespace, after=after, limit=wanted, revision=0)
            revision = page.revision
            more, full = page.more, False
            for index, item in enumerate(page.items):
                after = item.key
                if plain or selection.matches(self._registry.entry(item)):
                    chosen.append(item)
                    size += len(item.value)
                    full = len(chosen) == request.limit or size >= PAGE_BYTES_MAX
                    if full:
                        left = len(page.items) - index - 1
                        more, remaining = more or left > 0, page.remaining + left
                        break
            if full or not more:
                break
        metadata = ListMeta(resource_version=str(revision))
        if more:
            metadata.continue_token = encode(Continuation(after, revision), self._registry.prefix)
            if plain:
                metadata.remaining_item_count = remaining
        return chosen, metadata

    async def watch(self, user: User, request: WatchRequest, context: Any) -> AsyncIterator[list[bytes]]:
        """Watch."""
        selection = self._selection(request.namespace, request.name, request.label_selector, request.field_selector)
        stream = messages(self._registry.cache, selection, since=_revision(request.resource_version))
        try:
            async for waiting in stream:
                yield waiting
        finally:
            await stream.aclose()  # type: ignore[attr-defined]

    def _selection(self, namespace: str, name: str, labels: str, fields: str) -> Selection:
        if namespace and not self._registry.kind.namespaced:
            raise errors.BadRequest("namespace", f"{self._registry.resource} live in no namespace")
        if "/" in namespace:
            raise errors.BadRequest("namespace", "a name holds no '/'")
        try:
            label_selector = selectors.parse(labels)
        except selectors.SelectorError as error:
            raise errors.BadRequest("label_selector", str(error)) from error
        try:
            field_selector = selectors.parse_fields(fields, self._registry.field_paths)
        except selectors.SelectorError as error:
            raise errors.BadRequest("field_selector", str(error)) from error
        return Selection(namespace, name, label_selector, field_selector)

    # --- writes -----------------------------------------------------------------------------------------------------

    async def create(self, user: User, request: Any, context: Any) -> bytes:
        """Create."""
        return self._answer(await self._registry.create(user, request.object, request.options), context)

    async def update(self, user: User, request: Any, context: Any) -> bytes:
        """Update."""
        return self._answer(await self._registry.update(user, request.object, request.options), context)

    async def update_status(self, user: User, request: Any, context: Any) -> bytes:
        """UpdateStatus."""
        return self._answer(await self._registry.update_status(user, request.object, request.options), context)

    async def apply(self, user: User, request: Any, context: Any) -> bytes:
        """Apply."""
        kind, metadata = self._registry.kind, request.object.metadata

        def may_create() -> None:
            wanted = Attributes("create", kind.plural, kind.group, namespace=metadata.namespace)
            self._guard.access.authorizer.authorize(user, wanted)

        written = await self._registry.apply(user, request.object, request.options, may_create=may_create)
        return self._answer(written, context)

    async def patch(self, user: User, request: PatchRequest, context: Any) -> bytes:
        """Patch."""
        if request.subresource not in ("", "status"):
            raise errors.BadRequest("subresource", f"{request.subresource!r} is not one of '', 'status'")
        if request.subresource == "status" and not self._registry.kind.has_status:
            raise errors.BadRequest("subresource", f"{self._registry.resource} have no status")
        document = patches.parse(request.patch)
        warnings: list[str] = []

        async def change(old: Any) -> Any:
            warnings.clear()
            return patches.patched(
                old, document, request.type, strict=request.options.field_validation == STRICT, warn=warnings.append
            )

        written = await self._registry.modify(
            user,
            request.namespace,
            request.name,
            change,
            request.options,
            expected=patches.expected_version(document),
            mode=STATUS_ONLY if request.subresource == "status" else SPEC,
        )
        written.warnings[:0] = warnings
        return self._answer(written, context)

    async def delete(self, user: User, request: DeleteRequest, context: Any) -> bytes:
        """Delete."""
        written = await self._registry.delete(user, request.namespace, request.name, request.options)
        return self._answer(written, context)

    async def delete_collection(self, user: User, request: DeleteCollectionRequest, context: Any) -> bytes:
        """DeleteCollection."""
        if self._registry.kind.namespaced and not request.namespace:
            raise errors.BadRequest("namespace", "required: a collection is deleted in one namespace at a time")
        selection = self._selection(request.namespace, "", request.label_selector, request.field_selector)
        parts: list[bytes] = []
        token, size = "", 0
        while True:
            page = ListRequest(namespace=request.namespace, continue_token=token)
            items, metadata = await self._select(selection, page)
            for item in items:
                entry = self._registry.entry(item)
                try:
                    written = await self._registry.delete(user, entry.namespace, entry.name, request.options)
                except errors.ObjectNotFound:
                    continue
                data = frames.versioned(written.obj.SerializeToString(), written.revision)
                size += len(data)
                # All are deleted; as many are shown as an answer holds.
                if size < PAGE_BYTES_MAX:
                    parts.append(_field(_ITEM_TAG, data))
            token = metadata.continue_token
            if not token:
                return b"".join([_field(_METADATA_TAG, metadata.SerializeToString()), *parts])

    @staticmethod
    def _answer(written: Written, context: Any) -> bytes:
        if written.warnings:
            context.set_trailing_metadata(
                tuple(
                    (WARNING_KEY, shortened(warning, WARNING_BYTES_MAX).encode())
                    for warning in written.warnings[:WARNINGS_MAX]
                )
            )
        data: bytes = written.obj.SerializeToString()
        return frames.versioned(data, written.revision) if written.revision else data


def handlers(
    registries: Iterable[Registry], guard: Guard, extra: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]]
) -> list[grpc.GenericRpcHandler]:
    """One gRPC handler per kind; `extra` adds a service's own rpcs to the common ones."""
    return [
        grpc.method_handlers_generic_handler(
            registry.kind.service,
            {
                **ResourceHandlers(registry, guard).methods(),
                **(ScaleHandlers(registry, guard).methods() if ScaleHandlers.fits(registry) else {}),
                **extra.get(registry.kind.service, {}),
            },
        )
        for registry in registries
    ]
