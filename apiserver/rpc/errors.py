"""The one table from domain errors to gRPC: code, and `google.rpc` details with the facts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from steersman.errors import DETAILS_KEY

from apiserver import errors
from apiserver.storage.port import Compacted

DOMAIN = "steersman"
# A status goes in headers, and clients take 8 KiB of those: what is told is long enough to be understood, no longer.
MESSAGE_BYTES_MAX, TEXT_BYTES_MAX, VIOLATIONS_BYTES_MAX = 1500, 300, 2500


def shortened(text: str, bytes_max: int) -> str:
    """A text of so many bytes at most, as gRPC sends it: what is not plain takes three."""
    size = 0
    for index, character in enumerate(text[: bytes_max + 1]):
        size += 1 if " " <= character <= "~" and character != "%" else 3 * len(character.encode(errors="replace"))
        if size > bytes_max:
            return text[: max(0, index - 3)] + "..."
    return text


Code = grpc.StatusCode


def _info(reason: str, **facts: object) -> Message:
    return cast(
        Message,
        error_details_pb2.ErrorInfo(
            reason=reason,
            domain=DOMAIN,
            metadata={shortened(name, 64): shortened(str(value), TEXT_BYTES_MAX) for name, value in facts.items()},
        ),
    )


def _violations(error: errors.InvalidObject) -> Message:
    """As many of the violations as an answer holds; the first ones are enough to go on."""
    bad = error_details_pb2.BadRequest()
    size = 0
    for violation in error.violations:
        field, text = shortened(violation.field, TEXT_BYTES_MAX), shortened(violation.description, TEXT_BYTES_MAX)
        size += len(field.encode()) + len(text.encode()) + 8
        if size > VIOLATIONS_BYTES_MAX:
            left = len(error.violations) - len(bad.field_violations)
            bad.field_violations.add(field="", description=f"and {left} more")
            break
        bad.field_violations.add(field=field, description=text)
    return cast(Message, bad)


def _violation(error: errors.BadRequest) -> Message:
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(
        field=shortened(error.field, TEXT_BYTES_MAX), description=shortened(error.why, TEXT_BYTES_MAX)
    )
    return cast(Message, bad)


def _object(reason: str) -> Callable[[Any], list[Message]]:
    return lambda e: [_info(reason, resource=e.resource, name=e.name)]


def _retry(seconds: float) -> Message:
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromNanoseconds(int(seconds * 1e9))
    return cast(Message, info)


TABLE: dict[type[Exception], tuple[grpc.StatusCode, Callable[[Any], list[Message]]]] = {
    errors.ObjectNotFound: (Code.NOT_FOUND, _object("NOT_FOUND")),
    errors.ObjectExists: (Code.ALREADY_EXISTS, _object("ALREADY_EXISTS")),
    errors.Conflicting: (Code.ABORTED, _object("CONFLICT")),
    errors.FieldsOwned: (
        Code.ABORTED,
        lambda e: [_info("FIELDS_OWNED", **{manager: ", ".join(fields) for manager, fields in e.owners.items()})],
    ),
    errors.InvalidObject: (Code.INVALID_ARGUMENT, lambda e: [*_object("INVALID")(e), _violations(e)]),
    errors.BadRequest: (Code.INVALID_ARGUMENT, lambda e: [_info("BAD_REQUEST", field=e.field), _violation(e)]),
    errors.RevisionCompacted: (
        Code.OUT_OF_RANGE,
        lambda e: [_info("REVISION_COMPACTED", revision=e.revision, oldest=e.oldest)],
    ),
    Compacted: (Code.OUT_OF_RANGE, lambda e: [_info("REVISION_COMPACTED", oldest=e.oldest)]),
    errors.SlowWatcher: (Code.RESOURCE_EXHAUSTED, lambda e: [_info("SLOW_WATCHER", limit=e.limit)]),
    errors.NotAuthenticated: (Code.UNAUTHENTICATED, lambda e: [_info("UNAUTHENTICATED")]),
    errors.NotAllowed: (
        Code.PERMISSION_DENIED,
        lambda e: [_info("FORBIDDEN", user=e.user, verb=e.verb, resource=e.resource)],
    ),
    errors.Refused: (
        Code.PERMISSION_DENIED,
        lambda e: [_info("REFUSED", rule=e.rule, resource=e.resource, name=e.name)],
    ),
    errors.QuotaExceeded: (
        Code.RESOURCE_EXHAUSTED,
        lambda e: [_info("QUOTA_EXCEEDED", resource=e.resource, name=e.name, quota=e.quota)],
    ),
    errors.TooBusy: (
        Code.RESOURCE_EXHAUSTED,
        lambda e: [_info("TOO_BUSY", priority_level=e.level), _retry(e.retry_s)],
    ),
    errors.NotPossible: (Code.FAILED_PRECONDITION, lambda e: [_info("NOT_POSSIBLE")]),
    errors.NodeFull: (
        Code.FAILED_PRECONDITION,
        lambda e: [_info("NODE_FULL", pod=e.pod, node=e.node, resource=e.resource, asked=e.asked, free=e.free)],
    ),
    errors.DisruptionRefused: (
        Code.RESOURCE_EXHAUSTED,
        lambda e: [
            _info("DISRUPTION_BUDGET", pod=e.pod, budget=e.budget),
            *([_retry(e.retry_s)] if e.retry_s else []),
        ],
    ),
    errors.RangeExhausted: (Code.RESOURCE_EXHAUSTED, lambda e: [_info("RANGE_EXHAUSTED", what=e.what)]),
    errors.StorageUnavailable: (Code.UNAVAILABLE, lambda e: [_info("STORAGE_UNAVAILABLE"), _retry(0.5)]),
    errors.Undecipherable: (Code.DATA_LOSS, lambda e: [_info("UNDECIPHERABLE", key=e.key)]),
    errors.StorageFull: (Code.RESOURCE_EXHAUSTED, lambda e: [_info("STORAGE_FULL"), _retry(10)]),
    errors.NodeUnreachable: (Code.UNAVAILABLE, lambda e: [_info("NODE_UNREACHABLE", node=e.node)]),
}


class Status(grpc.Status):
    """A gRPC status with details, as `context.abort_with_status` takes it."""

    def __init__(self, code: grpc.StatusCode, details: str, packed: bytes) -> None:
        self.code = code
        self.details = details
        self.trailing_metadata = ((DETAILS_KEY, packed),)


def status_of(error: Exception) -> Status | None:
    """The status for a domain error; None for anything else."""
    if isinstance(error, errors.Relayed):
        code = next((c for c in grpc.StatusCode if c.value[0] == error.code), grpc.StatusCode.UNKNOWN)
        packed = status_pb2.Status(code=error.code, message=str(error)).SerializeToString()
        return Status(code, str(error), packed)
    for kind in type(error).__mro__:
        row = TABLE.get(kind)
        if row is not None:
            code, details_of = row
            message = str(error) if not isinstance(error, Compacted) else "the revision is compacted"
            message = shortened(message, MESSAGE_BYTES_MAX)
            status = status_pb2.Status(code=code.value[0], message=message)
            for detail in details_of(error):
                packed = AnyMessage()
                packed.Pack(detail)
                status.details.append(packed)
            return Status(code, message, status.SerializeToString())
    return None
