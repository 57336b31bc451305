"""The verb that only requests for certificates have: UpdateApproval."""

from __future__ import annotations

from typing import Any

import grpc
from steersman.certificates.v1.certificate_signing_request_pb2 import CertificateSigningRequestWriteRequest
from steersman.clock import Clock, to_timestamp
from steersman.validation.certificates import DECISIONS

from apiserver import errors
from apiserver.admission.certificates import check_signer
from apiserver.authn import User
from apiserver.registry import WHOLE, Registry
from apiserver.rpc.guard import Guard
from apiserver.watchcache import frames


class CertificateHandlers:
    """Approval, and denial."""

    def __init__(self, requests: Registry, guard: Guard, clock: Clock) -> None:
        self._requests = requests
        self._guard = guard
        self._clock = clock

    def methods(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """The rpcs by name."""
        return {
            "UpdateApproval": grpc.unary_unary_rpc_method_handler(
                self._guard.unary(self._requests.resource, "updateapproval", self.update_approval),
                request_deserializer=CertificateSigningRequestWriteRequest.FromString,
            )
        }

    async def update_approval(self, user: User, request: CertificateSigningRequestWriteRequest, context: Any) -> bytes:
        """UpdateApproval."""
        wanted: Any = request.object
        now = to_timestamp(self._clock.now(), whole_seconds=True)

        async def decide(obj: Any) -> Any:
            check_signer(self._guard.access.authorizer, user, "approve", obj.spec.signer_name)
            before = {condition.type: condition for condition in obj.status.conditions}
            for index, condition in enumerate(wanted.status.conditions):
                if condition.type not in DECISIONS:
                    if condition.type not in before:
                        why = f"{condition.type!r} is not one of {', '.join(DECISIONS)}"
                        raise errors.BadRequest(f"object.status.conditions[{index}].type", why)
                    continue
                if condition.status != "True":
                    raise errors.BadRequest(f"object.status.conditions[{index}].status", "must be 'True'")
                if condition.type in before:
                    continue
                other = next((each for each in DECISIONS if each in before), None)
                if other is not None:
                    raise errors.NotPossible(f"request {obj.metadata.name!r} is {other.lower()} already")
                made = obj.status.conditions.add()
                made.CopyFrom(condition)
                for stamp in (made.last_update_time, made.last_transition_time):
                    if not stamp.seconds:
                        stamp.CopyFrom(now)
                before[condition.type] = made
            kept = {condition.type for condition in wanted.status.conditions}
            for name in DECISIONS:
                if name in before and name not in kept:
                    raise errors.NotPossible(f"{name} may not be taken back")
            return obj

        metadata = wanted.metadata
        written = await self._requests.modify(
            user,
            "",
            metadata.name,
            decide,
            request.options,
            expected=metadata.resource_version,
            uid=metadata.uid,
            mode=WHOLE,
        )
        return frames.versioned(written.obj.SerializeToString(), written.revision)
