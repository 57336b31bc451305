"""An event loop on a clock of its own: time passes only when nothing is left to do, and then at once.

All parties must live in the loop: data on its sockets is taken before time moves on, and work that it has given to
threads is waited for. To anything outside (another process, another machine) years may pass between two packets.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Asks for events without waiting, and lets the loop's time pass instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self.loop.threads:
            # A thread has something to say, or only the outside can wake us.
            return super().select(None)
        self.loop.pass_time(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs timers at once, one after the other, as fast as they can be run."""

    def __init__(self) -> None:
        """At time 0."""
        self._now = 0.0
        self.threads = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        # A timer is due when its time has come exactly: nothing passes by itself.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Seconds of virtual time since the loop was made."""
        return self._now

    def pass_time(self, seconds: float) -> None:
        """Lets so many seconds pass; the selector does when there is nothing else to do."""
        self._now += max(0.0, seconds)

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """As asyncio's; time stands still until the thread has done its work."""
        future: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        self.threads += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _future: asyncio.Future[Any]) -> None:
        self.threads -= 1


class VirtualClock:
    """The clock of a loop; of a virtual one, or of a real one that then shows real time passing."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start: datetime | None = None) -> None:
        """Shows `start` when the loop's time is what it is now; by default the machine's present moment."""
        self._loop = loop
        self._origin = (start or datetime.now(UTC)) - timedelta(seconds=loop.time())

    def now(self) -> datetime:
        """The moment that it is in the loop, in UTC."""
        return self._origin + timedelta(seconds=self._loop.time())

    def monotonic(self) -> float:
        """Seconds of the loop's time."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds of the loop's time."""
        await asyncio.sleep(seconds)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end as `asyncio.run` does, on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
