"""Telling a person what is going on: one line for each step, with the time it took."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Progress:
    """Writes steps to standard error; on a terminal the running one is shown moving."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self.started = time.monotonic()

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """A step that lasts as long as the block; a failure is marked and passed on."""
        began = time.monotonic()
        done = threading.Event()
        spinner: threading.Thread | None = None
        if self._terminal:
            spinner = threading.Thread(target=self._spin, args=(text, began, done), daemon=True)
            spinner.start()
        ended_well = False
        try:
            yield
            ended_well = True
        finally:
            done.set()
            if spinner is not None:
                spinner.join()
            mark = "✓" if ended_well else "✗"
            self._line(f"{mark} {text}  {time.monotonic() - began:.1f} s", final=True)

    def _spin(self, text: str, began: float, done: threading.Event) -> None:
        frame = 0
        while not done.wait(0.1):
            frame += 1
            self._line(f"{_FRAMES[frame % len(_FRAMES)]} {text}  {time.monotonic() - began:.0f} s", final=False)

    def _line(self, text: str, *, final: bool) -> None:
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{text}" + ("\n" if final else ""))
        elif final:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
