"""Hearing at once that containers ended, from containerd's own event service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from cri.events_pb2 import Envelope, SubscribeRequest
from cri.task_events_pb2 import TaskExit, TaskOOM

from nodeagent.cri.channel import RuntimeChannel

SUBSCRIBE = "/containerd.services.events.v1.Events/Subscribe"
EXIT_TOPIC = "/tasks/exit"
OOM_TOPIC = "/tasks/oom"
NAMESPACE = "k8s.io"


@dataclass(frozen=True)
class Ended:
    """The first process of a container or sandbox has ended."""

    container_id: str


@dataclass(frozen=True)
class OutOfMemory:
    """The kernel killed a process of the container for want of memory."""

    container_id: str


async def subscribe(channel: RuntimeChannel) -> AsyncIterator[Ended | OutOfMemory]:
    """Yields what happens from now on.

    Raises:
        RuntimeFailedError: the runtime went away, or does not have this service (code UNIMPLEMENTED).
    """
    request = SubscribeRequest(
        filters=[f'topic=="{topic}",namespace=="{NAMESPACE}"' for topic in (EXIT_TOPIC, OOM_TOPIC)]
    )
    async for envelope in channel.stream(SUBSCRIBE, request, Envelope):
        if envelope.topic == EXIT_TOPIC:
            task = TaskExit.FromString(envelope.event.value)
            if task.id == task.container_id:
                yield Ended(task.container_id)
        elif envelope.topic == OOM_TOPIC:
            yield OutOfMemory(TaskOOM.FromString(envelope.event.value).container_id)
