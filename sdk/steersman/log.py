"""Logging of the SDK: structlog, imported when there is something to say.

A program that has not set logging up gets what is worth a warning on standard error, and nothing else; structlog's own
default writes everything to standard output, which belongs to the program.
"""

from __future__ import annotations

import sys
from typing import Any

# What nobody sees who has not set logging up.
_QUIET = ("debug", "info")


class Logger:
    """Has the methods of structlog's loggers."""

    def __init__(self, name: str) -> None:
        """The logger of a module."""
        self._name = name

    def __getattr__(self, method: str) -> Any:
        if method in _QUIET and "structlog" not in sys.modules:
            return _say_nothing
        import structlog

        from steersman.service import logs

        logs.default()
        return getattr(structlog.get_logger(self._name), method)


def get_logger(name: str) -> Logger:
    """The logger of a module."""
    return Logger(name)


def _say_nothing(*_words: object, **_facts: object) -> None:
    return
