"""A line that says what is being waited for, on a terminal only; it goes when there is something to say."""

from __future__ import annotations

import shutil
import sys


class Progress:
    """The line at the bottom of the terminal; on anything else than a terminal nothing at all."""

    def __init__(self) -> None:
        self._on = sys.stderr.isatty()
        self._shown = False

    def show(self, text: str) -> None:
        """Replaces the line."""
        if self._on:
            width = shutil.get_terminal_size().columns
            sys.stderr.write("\r\x1b[K" + text[: max(1, width - 1)])
            sys.stderr.flush()
            self._shown = True

    def clear(self) -> None:
        """Takes the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False
