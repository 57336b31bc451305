"""Who waits for the disk: a thread, so that the event loop goes on meanwhile, or the loop itself where that is sooner.

Handing work to a thread and hearing of its end costs about as much as a good disk takes for a sync. What arrives while
one sync is under way shares the next one, in either case.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

# A sync of this many seconds takes about as long as the way to a thread and back on a busy machine.
QUICK_S = 0.0005
QUICK_IN_A_ROW = 8

Done = Callable[[Exception | None], None]


class Disk(Protocol):
    """Runs one piece of work at a time."""

    def run(self, work: Callable[[], object], done: Done) -> None:
        """Runs `work`, then calls `done` in the caller's thread with the exception it raised, or None."""
        ...

    def close(self) -> None:
        """Ends; work under way is finished."""
        ...


class InlineDisk:
    """Does the work in the call. For tests and simulations, where nothing may happen by itself."""

    def run(self, work: Callable[[], object], done: Done) -> None:
        """As the port says."""
        try:
            work()
        except Exception as error:
            done(error)
            return
        done(None)

    def close(self) -> None:
        """As the port says."""


class DiskThread:
    """Does the work in a thread; in the loop while the disk is quick.

    A piece of work that was slow sends the next ones to the thread, until that many in a row were quick.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self._loop = loop
        self._clock = clock
        self._quick = 0
        self._queue: SimpleQueue[tuple[Callable[[], object], Done] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="disk", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], object], done: Done) -> None:
        """As the port says. `done` is never called before this returns."""
        if self._quick >= QUICK_IN_A_ROW:
            self._loop.call_soon(done, self._do(work))
        else:
            self._queue.put((work, done))

    def close(self) -> None:
        """As the port says."""
        self._queue.put(None)
        self._thread.join()

    def _do(self, work: Callable[[], object]) -> Exception | None:
        begun = self._clock()
        error: Exception | None = None
        try:
            work()
        except Exception as raised:
            error = raised
        self._quick = self._quick + 1 if self._clock() - begun < QUICK_S else 0
        return error

    def _serve(self) -> None:
        while (item := self._queue.get()) is not None:
            work, done = item
            error = self._do(work)
            try:
                self._loop.call_soon_threadsafe(done, error)
            except RuntimeError:
                # The loop is closed: nobody waits for the answer any more.
                return
