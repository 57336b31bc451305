"""Waiting longer after each failure."""

from __future__ import annotations

import random
from dataclasses import dataclass

# One for all that bring none of their own: seeding costs more than most delays are computed for.
_SHARED = random.Random()


@dataclass
class Backoff:
    """Delays that grow from `base_s` by `factor` up to `limit_s`, each shortened at random by up to `jitter`.

    Attributes:
        base_s: first delay, seconds.
        limit_s: longest delay, seconds.
        factor: growth from one delay to the next.
        jitter: largest random reduction, as a share of the delay.
        source: where randomness comes from.
    """

    base_s: float = 0.05
    limit_s: float = 5.0
    factor: float = 2.0
    jitter: float = 0.3
    source: random.Random = _SHARED
    failures: int = 0

    def next_s(self) -> float:
        """The delay after one more failure, in seconds."""
        delay = min(self.limit_s, self.base_s * self.factor ** min(self.failures, 32))
        self.failures += 1
        return delay * (1 - self.jitter * self.source.random())

    def reset(self) -> None:
        """Starts over, after a success."""
        self.failures = 0


class Bucket:
    """Lets `burst` things happen at once and `per_s` a second from then on."""

    def __init__(self, per_s: float, burst: int) -> None:
        """A full bucket."""
        self._per_s = per_s
        self._burst = burst
        self._free_at = float("-inf")

    def take(self, now: float) -> float:
        """Takes one; returns the seconds from `now`, on the caller's monotonic clock, until it may happen."""
        earliest = now - self._burst / self._per_s
        self._free_at = max(self._free_at, earliest) + 1 / self._per_s
        return max(0.0, self._free_at - now)
