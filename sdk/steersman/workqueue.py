"""A queue of keys: each key is worked on by one worker at a time, and waits longer after each failure.

Adding a key that is waiting changes nothing; adding one that is being worked on makes it wait again afterwards. So a
burst of changes to an object costs one reconcile, and none is lost.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from steersman.retry import Backoff, Bucket

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Keys that want work, in the order in which they asked."""

    def __init__(
        self,
        *,
        retry_base_s: float = 0.02,
        retry_limit_s: float = 60.0,
        retries: Bucket | None = None,
        source: random.Random | None = None,
    ) -> None:
        """Makes an empty queue.

        Args:
            retry_base_s: how long a key waits after its first failure; twice as long after each further one.
            retry_limit_s: the longest that it waits.
            retries: how often all keys together are tried again; None: 100 at once and 10 a second from then on, as
                in client-go.
            source: where randomness comes from.
        """
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()
        self._working: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._backoffs: dict[K, Backoff] = {}
        self._retry = (retry_base_s, retry_limit_s)
        self._retries = retries or Bucket(10, 100)
        self._source = source or random.Random()
        self._wake = asyncio.Event()

    def add(self, key: K) -> None:
        """Asks for work on a key as soon as a worker is free."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._waiting:
            return
        self._waiting.add(key)
        if key not in self._working:
            self._ready.append(key)
            self._wake.set()

    def add_after(self, key: K, delay_s: float) -> None:
        """Asks for work on a key in so many seconds; the earliest of several requests counts."""
        if delay_s <= 0:
            self.add(key)
            return
        if key in self._waiting:
            return
        loop = asyncio.get_running_loop()
        known = self._timers.get(key)
        if known is not None:
            if known.when() <= loop.time() + delay_s:
                return
            known.cancel()
        self._timers[key] = loop.call_later(delay_s, self.add, key)

    def retry(self, key: K) -> float:
        """Asks for work on a key after a failure; returns the delay in seconds, longer each time."""
        backoff = self._backoffs.get(key)
        if backoff is None:
            backoff = self._backoffs[key] = Backoff(*self._retry, source=self._source)
        delay_s = max(backoff.next_s(), self._retries.take(asyncio.get_running_loop().time()))
        self.add_after(key, delay_s)
        return delay_s

    def forget(self, key: K) -> None:
        """Says that a key was worked on with success: its next failure waits the shortest time again."""
        self._backoffs.pop(key, None)

    async def get(self) -> K:
        """Takes the next key; call `done` with it afterwards."""
        while not self._ready:
            self._wake.clear()
            await self._wake.wait()
        key = self._ready.popleft()
        self._waiting.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """Says that the work on a key has ended, well or badly."""
        self._working.discard(key)
        if key in self._waiting:
            self._ready.append(key)
            self._wake.set()

    def __len__(self) -> int:
        return len(self._waiting)
