"""What the runtime says about one pod, as values."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime


class Life(enum.Enum):
    """Where a container is in its life."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class SandboxRecord:
    """One sandbox.

    Attributes:
        id: the runtime's id.
        attempt: counts the sandboxes of a pod from 0.
        ready: whether its processes and its network are up.
        created_at: when it was made.
        ips: its addresses, the primary one first; empty with the node's network and when it is not ready.
        host_network: whether it shares the node's network.
    """

    id: str
    attempt: int
    ready: bool
    created_at: datetime
    ips: tuple[str, ...] = ()
    host_network: bool = False


@dataclass(frozen=True)
class ContainerRecord:
    """One container, running or dead.

    Attributes:
        id: the runtime's id.
        name: of the container in the pod.
        attempt: its restart count.
        life: where it is in its life.
        sandbox_id: the sandbox that it lives in.
        created_at: when it was made.
        started_at: when its process started; None when it never did.
        finished_at: when its process ended; None while it has not.
        exit_code: of its process; meaningful when it has exited.
        reason: "Completed", "Error", "OOMKilled", ... when it has exited.
        message: what the container left as its termination message.
        image: reference that it was made from.
        image_id: content that it runs.
        spec_hash: hash of the specification that it was made from.
        grace_s: seconds that its pod gives it to stop.
    """

    id: str
    name: str
    attempt: int
    life: Life
    sandbox_id: str
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    image: str = ""
    image_id: str = ""
    spec_hash: str = ""
    grace_s: int = 30

    @property
    def alive(self) -> bool:
        """Whether there may be a process."""
        return self.life in (Life.RUNNING, Life.UNKNOWN)

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.life is Life.EXITED and self.exit_code == 0


@dataclass(frozen=True)
class PodRuntime:
    """Everything that the runtime has of one pod.

    Attributes:
        sandboxes: newest first.
        containers: newest attempt first.
    """

    sandboxes: tuple[SandboxRecord, ...] = ()
    containers: tuple[ContainerRecord, ...] = ()

    @classmethod
    def of(cls, sandboxes: list[SandboxRecord], containers: list[ContainerRecord]) -> PodRuntime:
        """Sorts what was listed in any order."""
        return cls(
            tuple(sorted(sandboxes, key=lambda each: (each.attempt, each.created_at), reverse=True)),
            tuple(sorted(containers, key=lambda each: (each.attempt, each.created_at), reverse=True)),
        )

    @property
    def empty(self) -> bool:
        """Whether the runtime has nothing of the pod."""
        return not self.sandboxes and not self.containers

    @property
    def sandbox(self) -> SandboxRecord | None:
        """The sandbox that containers may be started in: the newest, if it is ready."""
        return self.sandboxes[0] if self.sandboxes and self.sandboxes[0].ready else None

    @property
    def alive(self) -> tuple[ContainerRecord, ...]:
        """Containers that may have a process."""
        return tuple(each for each in self.containers if each.alive)

    def attempts(self, name: str) -> tuple[ContainerRecord, ...]:
        """All containers of a name, newest first."""
        return tuple(each for each in self.containers if each.name == name)

    def latest(self, name: str) -> ContainerRecord | None:
        """The newest container of a name."""
        return next((each for each in self.containers if each.name == name), None)

    def latest_here(self, name: str) -> ContainerRecord | None:
        """The newest container of a name in the newest sandbox."""
        latest = self.latest(name)
        if latest is None or not self.sandboxes or latest.sandbox_id != self.sandboxes[0].id:
            return None
        return latest

    def previous(self, name: str) -> ContainerRecord | None:
        """The newest dead container of a name before its newest one."""
        return next((each for each in self.attempts(name)[1:] if each.life is Life.EXITED), None)
