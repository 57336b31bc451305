"""Who waits for the disk: a thread of its own, so that the event loop goes on taking requests meanwhile.

What arrives while one sync is under way shares the next one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

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
    """Does the work in a thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: SimpleQueue[tuple[Callable[[], object], Done] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="disk", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], object], done: Done) -> None:
        """As the port says."""
        self._queue.put((work, done))

    def close(self) -> None:
        """As the port says."""
        self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (item := self._queue.get()) is not None:
            work, done = item
            error: Exception | None = None
            try:
                work()
            except Exception as raised:
                error = raised
            try:
                self._loop.call_soon_threadsafe(done, error)
            except RuntimeError:
                # The loop is closed: nobody waits for the answer any more.
                return
