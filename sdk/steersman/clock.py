"""Time as a value that is passed in, so that a cluster can also run on a virtual clock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp


class Clock(Protocol):
    """What a loop may know of time."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds of this clock."""
        ...


class RealClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since the machine's boot, about."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""
        await asyncio.sleep(seconds)


def to_timestamp(moment: datetime, *, whole_seconds: bool = False) -> Timestamp:
    """The protobuf form of a moment; whole seconds where Kubernetes keeps no fractions (metav1.Time)."""
    stamp = Timestamp()
    stamp.FromDatetime(moment.replace(microsecond=0) if whole_seconds else moment)
    return stamp


def from_timestamp(stamp: Timestamp) -> datetime:
    """The moment that a protobuf timestamp names, in UTC."""
    return stamp.ToDatetime(tzinfo=UTC)
