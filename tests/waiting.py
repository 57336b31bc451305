"""Waiting for a condition with a deadline; no test sleeps for a guessed time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

POLL_S = 0.01


async def eventually(predicate: Callable[[], Any | Awaitable[Any]], timeout_s: float = 10.0) -> Any:
    """Returns the predicate's first true value; fails the test when there is none within `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = predicate()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"not true within {timeout_s:g} s: {_describe(predicate)}"
        await asyncio.sleep(POLL_S)


def eventually_sync(predicate: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    """As `eventually`, outside of an event loop."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = predicate()
        if value:
            return value
        assert time.monotonic() < deadline, f"not true within {timeout_s:g} s: {_describe(predicate)}"
        time.sleep(POLL_S)


def _describe(predicate: Callable[[], Any]) -> str:
    try:
        return inspect.getsource(predicate).strip()
    except (OSError, TypeError):
        return repr(predicate)
