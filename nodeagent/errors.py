"""What can go wrong between the agent and the world, with the facts as fields."""

from __future__ import annotations


class RuntimeFailedError(Exception):
    """The container runtime refused or failed a call.

    Attributes:
        call: name of the call.
        code: name of the gRPC status code, "NOT_FOUND".
        message: what the runtime said.
    """

    def __init__(self, call: str, code: str, message: str) -> None:
        super().__init__(f"{call}: {message}")
        self.call = call
        self.code = code
        self.message = message

    @property
    def not_found(self) -> bool:
        """Whether what was named does not exist."""
        return self.code == "NOT_FOUND"

    @property
    def still_busy(self) -> bool:
        """Whether the runtime is still working on an earlier call for the same thing; it tells that in words only."""
        return "failed to reserve" in self.message


class ImageError(Exception):
    """An image is not there and cannot be had.

    Attributes:
        reason: for the container's status: "ErrImagePull", "ErrImageNeverPull", "InvalidImageName".
        message: for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class ContainerStartError(Exception):
    """A container could not be started.

    Attributes:
        reason: for its status: "CreateContainerError", "RunContainerError", "PostStartHookError", ...
        message: for people.
        still_busy: the runtime is still working on an earlier call for the same container.
    """

    def __init__(self, reason: str, message: str, *, still_busy: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.still_busy = still_busy


class VolumeError(Exception):
    """A volume could not be made ready.

    Attributes:
        volume: its name in the pod.
        message: why.
    """

    def __init__(self, volume: str, message: str) -> None:
        super().__init__(f'volume "{volume}": {message}')
        self.volume = volume
        self.message = message
