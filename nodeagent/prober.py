"""Runs the probes of running containers and turns their answers into health."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from steersman.clock import Clock
from steersman.core.v1.container_pb2 import Container
from steersman.core.v1.pod_pb2 import Pod
from steersman.core.v1.probe_pb2 import Probe
from steersman.recorder import Recorder

from nodeagent.handlers import Answer, Handlers, Target
from nodeagent.pod import probes
from nodeagent.pod.probes import Cadence, Health, Purpose, Tally

log = structlog.get_logger(__name__)

EARLY_S = 0.1


@dataclass(frozen=True)
class Probed:
    """A running container with its pod.

    Attributes:
        pod: the pod.
        target: what is asked.
        started_at: when the container started, from which the initial delay counts.
    """

    pod: Pod
    target: Target
    started_at: datetime


class Prober:
    """The probes of one pod's containers.

    Health is kept by container id. `on_change` is called whenever it changed, and the pod's worker then looks.
    """

    def __init__(self, handlers: Handlers, recorder: Recorder, clock: Clock, on_change: Callable[[], None]) -> None:
        self._handlers = handlers
        self._recorder = recorder
        self._clock = clock
        self._on_change = on_change
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}
        self._started: dict[str, asyncio.Event] = {}
        self.health: dict[str, Health] = {}

    def begin(self, probed: Probed, known: Health | None = None) -> None:
        """Probes a container from now on. Idempotent by container id.

        Args:
            probed: the container.
            known: its health as it was known before this agent started, which stands until a probe says otherwise.
        """
        container_id = probed.target.container_id
        if container_id in self.health:
            return
        container = probed.target.container
        health = known or probes.initial(container)
        self.health[container_id] = health
        started = self._started[container_id] = asyncio.Event()
        if health.started:
            started.set()
        self._tasks[container_id] = [
            asyncio.create_task(self._run(probed, purpose), name=f"{purpose.value} probe of {container.name}")
            for purpose in Purpose
            if probes.probe_of(container, purpose) is not None and not (purpose is Purpose.STARTUP and health.started)
        ]

    def end(self, container_id: str) -> None:
        """Stops probing a container and forgets its health."""
        for task in self._tasks.pop(container_id, []):
            task.cancel()
        self._started.pop(container_id, None)
        self.health.pop(container_id, None)

    def pause(self, container_id: str) -> None:
        """Stops probing a container that is being stopped; its health stays, but it is not ready any more."""
        for task in self._tasks.pop(container_id, []):
            task.cancel()

    def close(self) -> None:
        """Stops all probes."""
        for container_id in list(self.health):
            self.end(container_id)

    async def _run(self, probed: Probed, purpose: Purpose) -> None:
        container_id = probed.target.container_id
        container: Container = probed.target.container
        probe = probes.probe_of(container, purpose)
        assert probe is not None
        cadence = Cadence.of(probe)
        health = self.health[container_id]
        tally = Tally(verdict=health.ready if purpose is Purpose.READINESS else purpose is Purpose.LIVENESS)
        if purpose is not Purpose.STARTUP:
            await self._started[container_id].wait()
        age_s = (self._clock.now() - probed.started_at).total_seconds()
        if age_s < cadence.initial_delay_s:
            await self._clock.sleep(cadence.initial_delay_s - age_s)
        async for answer in self._answers(probed, purpose, probe, cadence):
            if not answer.ok:
                self._recorder.event(
                    probed.pod,
                    "Warning",
                    "Unhealthy",
                    f"{purpose.value} probe failed: {answer.message}",
                    field_path=f"spec.containers{{{container.name}}}",
                )
            tally = tally.after(answer.ok, cadence)
            failed = not tally.verdict and tally.run >= cadence.failure_threshold and not answer.ok
            if purpose is Purpose.READINESS or tally.verdict or failed:
                self._settle(container_id, purpose, tally.verdict)
            if purpose is not Purpose.READINESS and failed:
                return
            if purpose is Purpose.STARTUP and tally.verdict:
                return

    async def _answers(self, probed: Probed, purpose: Purpose, probe: Probe, cadence: Cadence) -> AsyncIterator[Answer]:
        """Asks once a period and yields each answer.

        A program that has just started rarely listens at the first moment, and need not wait a whole period for that:
        within the first one it is asked more often, and of those answers only a success counts.
        """
        first = True
        while True:
            yield await self._handlers.probe(probe.handler, probed.target, cadence.timeout_s)
            left_s = float(cadence.period_s)
            if first and purpose is not Purpose.LIVENESS and cadence.success_threshold == 1:
                delay_s = EARLY_S
                while delay_s < left_s and not self._has_passed(probed.target.container_id, purpose):
                    await self._clock.sleep(delay_s)
                    left_s -= delay_s
                    delay_s *= 2
                    answer = await self._handlers.probe(probe.handler, probed.target, cadence.timeout_s)
                    if answer.ok:
                        yield answer
            first = False
            await self._clock.sleep(left_s)

    def _has_passed(self, container_id: str, purpose: Purpose) -> bool:
        health = self.health.get(container_id)
        if health is None:
            return True
        return health.started if purpose is Purpose.STARTUP else health.ready

    def _settle(self, container_id: str, purpose: Purpose, passing: bool) -> None:
        before = self.health.get(container_id)
        if before is None:
            return
        after = before.with_verdict(purpose, passing)
        if after == before:
            return
        self.health[container_id] = after
        if after.started:
            self._started[container_id].set()
        log.info(
            "health changed",
            container=container_id[:12],
            probe=purpose.value,
            passing=passing,
            started=after.started,
            ready=after.ready,
        )
        self._on_change()
