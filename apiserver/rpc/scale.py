"""The scale of objects that have replicas: the same small object for every such kind."""

from __future__ import annotations

from typing import Any

import grpc
from steersman import selectors
from steersman.autoscaling.v1.scale_pb2 import Scale, ScaleWriteRequest
from steersman.client import WARNING_KEY
from steersman.meta.v1.requests_pb2 import GetRequest, ScaleRequest

from apiserver import errors
from apiserver.authn import User
from apiserver.registry import Registry, Written
from apiserver.rpc.guard import Guard
from apiserver.watchcache import frames


class ScaleHandlers:
    """The rpcs of one kind's scale."""

    def __init__(self, registry: Registry, guard: Guard) -> None:
        self._registry = registry
        self._guard = guard

    @staticmethod
    def fits(registry: Registry) -> bool:
        """Whether objects of a kind have a scale: a wanted and an observed number of replicas."""
        spec, status = (registry.kind.message.DESCRIPTOR.fields_by_name.get(name) for name in ("spec", "status"))
        return all(
            part is not None and part.message_type is not None and "replicas" in part.message_type.fields_by_name
            for part in (spec, status)
        )

    def methods(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """The rpcs by name."""
        calls: dict[str, tuple[Any, Any]] = {
            "Scale": (ScaleRequest, self.scale),
            "GetScale": (GetRequest, self.get),
            "UpdateScale": (ScaleWriteRequest, self.update),
        }
        return {
            name: grpc.unary_unary_rpc_method_handler(
                self._guard.unary(self._registry.resource, name.lower(), call),
                request_deserializer=request.FromString,
            )
            for name, (request, call) in calls.items()
        }

    async def scale(self, user: User, request: ScaleRequest, context: Any) -> bytes:
        """Scale."""
        written = await self._set(user, request, request.replicas, "replicas", request.options)
        _warn(written, context)
        data: bytes = written.obj.SerializeToString()
        return frames.versioned(data, written.revision)

    async def get(self, user: User, request: GetRequest, context: Any) -> bytes:
        """GetScale."""
        obj, revision = await self._registry.get_object(request.namespace, request.name)
        return scale_of(obj, revision).SerializeToString()

    async def update(self, user: User, request: ScaleWriteRequest, context: Any) -> bytes:
        """UpdateScale."""
        metadata = request.object.metadata
        written = await self._set(
            user,
            metadata,
            request.object.spec.replicas,
            "object.spec.replicas",
            request.options,
            expected=metadata.resource_version,
            uid=metadata.uid,
        )
        _warn(written, context)
        return scale_of(written.obj, written.revision).SerializeToString()

    async def _set(
        self, user: User, place: Any, replicas: int, field: str, options: Any, *, expected: str = "", uid: str = ""
    ) -> Written:
        if replicas < 0:
            raise errors.BadRequest(field, f"{replicas} is negative")

        async def change(old: Any) -> Any:
            old.spec.replicas = replicas
            return old

        return await self._registry.modify(
            user, place.namespace, place.name, change, options, expected=expected, uid=uid
        )


def scale_of(obj: Any, revision: int) -> Scale:
    """The scale of an object at a revision."""
    scale = Scale()
    metadata = scale.metadata
    metadata.name, metadata.namespace, metadata.uid = obj.metadata.name, obj.metadata.namespace, obj.metadata.uid
    metadata.resource_version = str(revision)
    metadata.creation_timestamp.CopyFrom(obj.metadata.creation_timestamp)
    scale.spec.replicas = obj.spec.replicas
    scale.status.replicas = obj.status.replicas
    wanted = obj.spec.selector
    selector = selectors.of_message(wanted) if hasattr(wanted, "match_labels") else selectors.of_map(wanted)
    scale.status.selector = str(selector)
    return scale


def _warn(written: Written, context: Any) -> None:
    if written.warnings:
        context.set_trailing_metadata(tuple((WARNING_KEY, warning.encode()) for warning in written.warnings))
