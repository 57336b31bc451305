"""Containers of one pod that are being stopped, each in a task of its own: a grace period may be long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from steersman.core.v1.pod_pb2 import Pod

from nodeagent.cri.runtime import PodIdentity
from nodeagent.errors import RuntimeFailedError
from nodeagent.pod.plan import StopContainer
from nodeagent.pod.state import PodRuntime
from nodeagent.tools import WorkerTools

log = structlog.get_logger(__name__)

RETRY_S = 1.0
# A stop counts as too slow only when it is so by more than this, for clocks and plans take their time.
SLACK_S = 1.0


class Stops:
    """Stops under way."""

    def __init__(self, identity: PodIdentity, tools: WorkerTools, on_done: Callable[[], None]) -> None:
        self._identity = identity
        self._tools = tools
        self._on_done = on_done
        self._tasks: dict[str, tuple[asyncio.Task[None], float]] = {}

    def has(self, container_id: str) -> bool:
        """Whether a container is being stopped."""
        return container_id in self._tasks

    def under_way(self, grace_s: int | None) -> frozenset[str]:
        """Ids of containers that are being stopped, without those that take longer than `grace_s` from now."""
        if grace_s is None:
            return frozenset(self._tasks)
        latest = self._tools.clock.monotonic() + grace_s + SLACK_S
        return frozenset(container_id for container_id, (_, deadline) in self._tasks.items() if deadline <= latest)

    def begin(self, pod: Pod | None, action: StopContainer, runtime: PodRuntime) -> None:
        """Begins to stop a container; a slower stop of it is given up."""
        running = self._tasks.pop(action.id, None)
        if running is not None:
            running[0].cancel()
        deadline = self._tools.clock.monotonic() + action.grace_s
        task = asyncio.create_task(self._run(pod, action, runtime), name=f"stop {action.name} of {self._identity.name}")
        self._tasks[action.id] = (task, deadline)

        def done(finished: asyncio.Task[None]) -> None:
            if action.id in self._tasks and self._tasks[action.id][0] is finished:
                del self._tasks[action.id]
            self._on_done()

        task.add_done_callback(done)

    async def _run(self, pod: Pod | None, action: StopContainer, runtime: PodRuntime) -> None:
        where = f"{self._identity.namespace}/{self._identity.name}"
        log.info("stopping container", pod=where, container=action.name, why=action.why, grace_s=action.grace_s)
        with self._tools.metrics.execute_s.labels("StopContainer").time():
            try:
                await self._tools.executor.stop_container(pod, action, runtime)
            except RuntimeFailedError as error:
                log.warning("container not stopped", pod=where, container=action.name, error=error.message)
                # The plan asks again when this is over; not at once.
                await self._tools.clock.sleep(RETRY_S)

    def close(self) -> None:
        """Gives up what is under way; containers are left as they are."""
        for task, _ in self._tasks.values():
            task.cancel()
