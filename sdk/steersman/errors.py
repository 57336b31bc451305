"""What can go wrong with a call to the apiserver, as exceptions that carry the facts.

The apiserver answers with canonical gRPC codes and `google.rpc` details; `from_rpc` turns them back. Catch the class,
read the attributes; the message is meant for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import grpc
from google.protobuf.message import DecodeError

DETAILS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True)
class FieldViolation:
    """One thing wrong with an object: where ("spec.containers[0].image") and what."""

    field: str
    description: str

    def __str__(self) -> str:
        return f"{self.field}: {self.description}" if self.field else self.description


class ApiError(Exception):
    """A call was refused or did not reach the apiserver.

    Attributes:
        code: the gRPC status code.
        message: what the server said.
        reason: machine-readable reason in UPPER_SNAKE_CASE, "" when none was given.
        facts: names and values that go with the reason.
        violations: fields that are wrong, for `Invalid`.
        retry_after_s: when to try again, in seconds; None when the server did not say.
    """

    code = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        facts: dict[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.facts = facts or {}
        self.violations = tuple(violations)
        self.retry_after_s = retry_after_s


class NotFound(ApiError):
    """There is no such object."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(ApiError):
    """The name is taken."""

    code = grpc.StatusCode.ALREADY_EXISTS


class Conflict(ApiError):
    """The object changed meanwhile, or another manager owns a field."""

    code = grpc.StatusCode.ABORTED


class Invalid(ApiError):
    """The request or the object is wrong; `violations` says where."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class Forbidden(ApiError):
    """The caller is known and may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class Unauthenticated(ApiError):
    """The caller is not known."""

    code = grpc.StatusCode.UNAUTHENTICATED


class Expired(ApiError):
    """The revision asked for is compacted; read the present state and go on from there."""

    code = grpc.StatusCode.OUT_OF_RANGE


class Exhausted(ApiError):
    """A quota or a limit is reached, or a watch was read too slowly."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class FailedPrecondition(ApiError):
    """The object or the cluster is not in a state that allows this."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Unavailable(ApiError):
    """The apiserver, or what it depends on, cannot be reached just now."""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(ApiError):
    """No answer came in time; the write may or may not have happened."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Unsupported(ApiError):
    """The server does not know this call."""

    code = grpc.StatusCode.UNIMPLEMENTED


class Cancelled(ApiError):
    """The call was cut off by either side."""

    code = grpc.StatusCode.CANCELLED


_CLASSES: dict[grpc.StatusCode, type[ApiError]] = {
    error.code: error
    for error in (
        NotFound,
        AlreadyExists,
        Conflict,
        Invalid,
        Forbidden,
        Unauthenticated,
        Expired,
        Exhausted,
        FailedPrecondition,
        Unavailable,
        DeadlineExceeded,
        Unsupported,
        Cancelled,
    )
}


class ServerError(ApiError):
    """The server failed in a way that it does not explain (its log does), or its answer cannot be read."""

    code = grpc.StatusCode.INTERNAL


_NUMBERED = {code.value[0]: code for code in grpc.StatusCode}


def of(number: int, message: str, reason: str = "") -> ApiError:
    """The exception for a failure that an answer tells of, by the number of its gRPC status."""
    return _CLASSES.get(_NUMBERED.get(number, grpc.StatusCode.UNKNOWN), ServerError)(message, reason=reason)


def from_rpc(error: grpc.aio.AioRpcError) -> ApiError:
    """The exception for a failed call."""
    # Needed for failures only, and not quickly imported.
    from google.rpc import error_details_pb2, status_pb2

    code = error.code()
    kind = _CLASSES.get(code, ServerError)
    reason = ""
    facts: dict[str, str] = {}
    violations: list[FieldViolation] = []
    retry_after_s: float | None = None
    for key, value in error.trailing_metadata() or ():
        if key != DETAILS_KEY:
            continue
        status = status_pb2.Status()
        # Details that cannot be read are none: the code and the message stand without them.
        with suppress(DecodeError):
            status.ParseFromString(value if isinstance(value, bytes) else value.encode())
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            bad = error_details_pb2.BadRequest()
            retry = error_details_pb2.RetryInfo()
            with suppress(DecodeError):
                if detail.Unpack(info):
                    reason, facts = info.reason, dict(info.metadata)
                elif detail.Unpack(bad):
                    violations += [FieldViolation(v.field, v.description) for v in bad.field_violations]
                elif detail.Unpack(retry):
                    retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
    return kind(
        error.details() or code.name, reason=reason, facts=facts, violations=violations, retry_after_s=retry_after_s
    )
