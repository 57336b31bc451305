"""Pods/UpdateEphemeralContainers and Pods/Resize: parts of a pod's spec that change after it was made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from steersman.client import WARNING_KEY
from steersman.core.v1.pod_pb2 import Pod, PodWriteRequest
from steersman.defaulting.pod import pod_spec
from steersman.errors import FieldViolation
from steersman.validation import pod as validation
from steersman.validation import pod_parts

from apiserver import errors
from apiserver.authn import User
from apiserver.registry import WHOLE, Registry
from apiserver.rpc.guard import Guard
from apiserver.watchcache import frames

RESIZED = "containers have what is asked for now when they are started again"
# Takes a part of an object into a pod; tells what of it is not allowed.
Take = Callable[[Any, Any], list[FieldViolation]]


class PodPartHandlers:
    """The rpcs."""

    def __init__(self, pods: Registry, guard: Guard) -> None:
        self._pods = pods
        self._guard = guard

    def methods(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """The rpcs by name."""
        calls = {"UpdateEphemeralContainers": self.update_ephemeral_containers, "Resize": self.resize}
        return {
            name: grpc.unary_unary_rpc_method_handler(
                self._guard.unary("pods", name.lower(), call), request_deserializer=PodWriteRequest.FromString
            )
            for name, call in calls.items()
        }

    async def update_ephemeral_containers(self, user: User, request: PodWriteRequest, context: Any) -> bytes:
        """UpdateEphemeralContainers."""
        return await self._change(user, request, pod_parts.take_ephemeral_containers)

    async def resize(self, user: User, request: PodWriteRequest, context: Any) -> bytes:
        """Resize."""
        answer = await self._change(user, request, pod_parts.take_resources)
        context.set_trailing_metadata(((WARNING_KEY, RESIZED.encode()),))
        return answer

    async def _change(self, user: User, request: PodWriteRequest, take: Take) -> bytes:
        metadata = request.object.metadata
        wanted = Pod()
        wanted.CopyFrom(request.object)
        pod_spec(wanted.spec)

        async def change(old: Any) -> Any:
            new = type(old)()
            new.CopyFrom(old)
            violations = take(new, wanted)
            pod_spec(new.spec)
            violations += validation.validate(new)
            if violations:
                raise errors.InvalidObject("pods", metadata.name, violations)
            return new

        written = await self._pods.modify(
            user,
            metadata.namespace,
            metadata.name,
            change,
            request.options,
            expected=metadata.resource_version,
            uid=metadata.uid,
            mode=WHOLE,
        )
        data: bytes = written.obj.SerializeToString()
        return frames.versioned(data, written.revision)
