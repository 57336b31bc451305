"""The reconcile runtime: a function of a key, called until the world is as it should be.

    controller = Controller("deployment", reconcile, workers=4)
    pods.on_change(lambda old, new: controller.enqueue(owner_key(new or old)))
    await controller.run()

`reconcile(key)` reads what is from informers and changes what must be through the client. It is told only which object
to look at, never what happened to it, so a lost or repeated notice does no harm.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram

from steersman import errors
from steersman.clock import Clock, RealClock
from steersman.log import get_logger
from steersman.workqueue import WorkQueue

log = get_logger(__name__)

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Result:
    """What a reconcile asks for.

    Attributes:
        requeue_after_s: look again in so many seconds; None: only when something changes.
    """

    requeue_after_s: float | None = None


class TerminalError(Exception):
    """Trying again will not help until the object changes; it is logged and not repeated."""


class Metrics:
    """Counts of reconciles by controller and outcome, and their durations."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.reconciles = Counter(
            "steersman_reconciles", "Reconciles by outcome", ["controller", "outcome"], registry=registry
        )
        self.seconds = Histogram(
            "steersman_reconcile_seconds", "Duration of reconciles", ["controller"], registry=registry
        )


class Controller(Generic[K]):
    """Runs a reconcile function over a work queue: one key at a time, different keys in parallel."""

    def __init__(
        self,
        name: str,
        reconcile: Callable[[K], Awaitable[Result | None]],
        *,
        workers: int = 4,
        queue: WorkQueue[K] | None = None,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.name = name
        self._reconcile = reconcile
        self._workers = workers
        self.queue: WorkQueue[K] = queue or WorkQueue()
        self._clock = clock or RealClock()
        self._metrics = metrics

    def enqueue(self, key: K) -> None:
        """Asks for a reconcile of a key."""
        self.queue.add(key)

    async def run(self) -> None:
        """Works until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            started = self._clock.monotonic()
            try:
                outcome = await self._once(key)
            except BaseException:
                # Whoever works here next, as when this process leads again, begins with what was left half done.
                self.queue.add(key)
                raise
            finally:
                self.queue.done(key)
            if self._metrics is not None:
                self._metrics.reconciles.labels(self.name, outcome).inc()
                self._metrics.seconds.labels(self.name).observe(self._clock.monotonic() - started)

    async def _once(self, key: K) -> str:
        """One reconcile; the outcome decides what becomes of the key, and is the metric's label."""
        try:
            result = await self._reconcile(key)
            again_s = _again_s(result)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Something that it waited for was given up, and not this work.
            delay_s = self.queue.retry(key)
            log.warning("reconcile was cut short", controller=self.name, key=str(key), retry_s=round(delay_s, 3))
            return "error"
        except TerminalError as error:
            log.error("reconcile cannot succeed", controller=self.name, key=str(key), error=str(error))
            self.queue.forget(key)
            return "terminal"
        except errors.Conflict as error:
            # Somebody else was faster: normal, and cured by looking again.
            delay_s = self.queue.retry(key)
            log.debug("reconcile conflicted", controller=self.name, key=str(key), error=str(error), retry_s=delay_s)
            return "conflict"
        except errors.ApiError as error:
            delay_s = self.queue.retry(key)
            log.warning(
                "reconcile failed",
                controller=self.name,
                key=str(key),
                error=error.message,
                code=error.code.name,
                retry_s=round(delay_s, 3),
            )
            return "error"
        except Exception:
            delay_s = self.queue.retry(key)
            log.exception("reconcile failed", controller=self.name, key=str(key), retry_s=round(delay_s, 3))
            return "error"
        self.queue.forget(key)
        if again_s is not None:
            self.queue.add_after(key, again_s)
            return "requeue"
        return "success"


def _again_s(result: object) -> float | None:
    """In how many seconds a result asks to look again.

    Raises:
        TypeError: it is no result.
    """
    if result is None:
        return None
    if not isinstance(result, Result):
        raise TypeError(f"a reconcile returns a Result or None, not {result!r}")
    seconds: object = result.requeue_after_s
    if seconds is None:
        return None
    if not isinstance(seconds, (int, float)) or math.isnan(seconds):
        raise TypeError(f"requeue_after_s is a number of seconds or None, not {seconds!r}")
    return seconds
