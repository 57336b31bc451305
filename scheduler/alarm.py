"""A limit on how long code of others may run inside this process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooSlowError(Exception):
    """It took too long."""


class Alarm:
    """Interrupts the main thread's own code; it can be used once per process, and not inside itself."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._armed = False
        self._usable = threading.current_thread() is threading.main_thread()
        if self._usable:
            signal.signal(signal.SIGALRM, self._ring)

    def _ring(self, _signum: int, _frame: FrameType | None) -> None:
        if self._armed:
            self._armed = False
            raise TooSlowError(f"it took longer than {self._seconds:g} s")

    @contextmanager
    def limit(self) -> Iterator[None]:
        """Ends what runs inside of it with `TooSlowError` after so many seconds; without effect in other threads."""
        if not self._usable:
            yield
            return
        self._armed = True
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        try:
            yield
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
