"""The loop: while any pod may be tried, try it; otherwise sleep until something happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from steersman.clock import Clock

from scheduler.asker import Asker
from scheduler.binder import Binder
from scheduler.metrics import Metrics
from scheduler.outcomes import Inquiry, Placement
from scheduler.plugins.guarded import PluginError
from scheduler.schedule import Schedule

log = structlog.get_logger(__name__)

# How long decisions may go on before watches and bindings get their turn.
TURN_S = 0.002
HOUSEKEEPING_S = 1.0


class Bell:
    """Wakes the loop."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def wake(self) -> None:
        """There may be something to do."""
        self._rung.set()

    async def wait(self, clock: Clock, seconds: float) -> None:
        """Returns after `wake`, or after so many seconds."""
        if not self._rung.is_set():
            timer = asyncio.ensure_future(clock.sleep(seconds))
            ring = asyncio.ensure_future(self._rung.wait())
            try:
                await asyncio.wait((timer, ring), return_when=asyncio.FIRST_COMPLETED)
            finally:
                timer.cancel()
                ring.cancel()
        self._rung.clear()


class Loop:
    """Drives a schedule."""

    def __init__(
        self,
        schedule: Schedule,
        binder: Binder,
        asker: Asker,
        bell: Bell,
        clock: Clock,
        metrics: Metrics,
        *,
        may_decide: Callable[[], bool] = lambda: True,
    ) -> None:
        """Makes the loop.

        Args:
            schedule: what to drive.
            binder: who carries it out.
            asker: who asks extenders.
            bell: rung when there may be something to do.
            clock: the clock.
            metrics: where to count.
            may_decide: whether this process may decide at present; a standby follows everything and may not.
        """
        self._schedule = schedule
        self._binder = binder
        self._asker = asker
        self._bell = bell
        self._clock = clock
        self._metrics = metrics
        self._may_decide = may_decide
        self._tended = 0.0

    async def run(self) -> None:
        """Decides until cancelled."""
        while True:
            if self._may_decide():
                await self._work()
            self._tend()
            pause_s = self._schedule.queue.next_s(self._clock.monotonic())
            await self._bell.wait(self._clock, HOUSEKEEPING_S if pause_s is None else min(pause_s, HOUSEKEEPING_S))

    async def _work(self) -> None:
        """Tries all pods that may be tried now."""
        clock, metrics = self._clock, self._metrics
        turn = clock.monotonic()
        while True:
            started = clock.monotonic()
            try:
                attempt = self._schedule.attempt(started)
            except Exception as error:
                # One pod that the code cannot deal with must not keep the others from being placed.
                log.exception("a decision failed")
                metrics.attempts.labels(result="error").inc()
                why = f"the decision failed: {error if isinstance(error, PluginError) else repr(error)}"
                for refusal in self._schedule.abandon(clock.monotonic(), why):
                    self._binder.report(refusal)
                continue
            if attempt is None:
                return
            metrics.decision.observe(clock.monotonic() - started)
            if isinstance(attempt, Placement):
                metrics.attempts.labels(result="scheduled").inc()
                metrics.waited.observe(attempt.waited_s)
                log.debug("placed", pod=str(attempt.pod), node=attempt.node)
                await self._binder.bind(attempt)
            elif isinstance(attempt, Inquiry):
                self._asker.ask(attempt)
            else:
                metrics.attempts.labels(result="unschedulable").inc()
                log.info(
                    "no node", pod=f"{attempt.pod.metadata.namespace}/{attempt.pod.metadata.name}", why=attempt.message
                )
                self._binder.report(attempt)
            if clock.monotonic() - turn >= TURN_S:
                await asyncio.sleep(0)
                turn = clock.monotonic()

    def _tend(self) -> None:
        """What is to be told and looked after now and then."""
        schedule = self._schedule
        while schedule.reports:
            self._binder.report(schedule.reports.popleft())
        now = self._clock.monotonic()
        if now - self._tended < HOUSEKEEPING_S:
            return
        self._tended = now
        schedule.tend(now)
        for assumption in schedule.overdue(now):
            assumption.since = now
            self._binder.start_settling(assumption)
        for state, count in schedule.queue.counts().items():
            self._metrics.pending.labels(queue=state).set(count)
        self._metrics.assumed.set(len(schedule.assumed))
        self._metrics.nodes.set(len(schedule.cluster.rows))
