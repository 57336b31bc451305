"""Which gRPC status each failure of a stream becomes: one table."""

from __future__ import annotations

import grpc

from nodeagent.errors import RuntimeFailedError


class StreamRefusedError(Exception):
    """A stream cannot be served as it was asked for.

    Attributes:
        message: why.
    """

    code = grpc.StatusCode.UNKNOWN

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotHereError(StreamRefusedError):
    """This node does not have the pod or the container."""

    code = grpc.StatusCode.NOT_FOUND


class BadRequestError(StreamRefusedError):
    """The request makes no sense for this pod."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotRunningError(StreamRefusedError):
    """The container is not in a state that allows this."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class NotAllowedError(StreamRefusedError):
    """The caller may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED


def status_of(error: Exception) -> tuple[grpc.StatusCode, str]:
    """Code and message for an error."""
    if isinstance(error, StreamRefusedError):
        return error.code, error.message
    if isinstance(error, RuntimeFailedError):
        code = grpc.StatusCode.__members__.get(error.code, grpc.StatusCode.UNKNOWN)
        return code, error.message
    if isinstance(error, OSError):
        return grpc.StatusCode.UNAVAILABLE, str(error)
    return grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"
