"""From what was used in all to what is used per time. Pure: readings in, rates out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NANOSECONDS = 1_000_000_000
# A rate over less than this says little.
WINDOW_MIN_NS = 900_000_000


@dataclass(frozen=True)
class Reading:
    """What something has used up to a moment.

    Attributes:
        time_ns: when it was read, nanoseconds since 1970.
        cpu_ns: processor time that it has ever used, nanoseconds of one processor.
        memory_bytes: memory that it has now and that cannot be taken away without harm.
    """

    time_ns: int
    cpu_ns: int
    memory_bytes: int


@dataclass(frozen=True)
class Rate:
    """What something uses.

    Attributes:
        time_ns: when it was measured, nanoseconds since 1970.
        window_ns: over which time up to then the processor time is an average.
        cpu_nanocores: billionths of a processor.
        memory_bytes: memory.
    """

    time_ns: int
    window_ns: int
    cpu_nanocores: int
    memory_bytes: int


def rate(before: Reading, now: Reading) -> Rate:
    """What is used between two readings; a counter that began anew in between counts from nothing."""
    window_ns = max(1, now.time_ns - before.time_ns)
    used_ns = now.cpu_ns - before.cpu_ns if now.cpu_ns >= before.cpu_ns else now.cpu_ns
    return Rate(now.time_ns, window_ns, used_ns * NANOSECONDS // window_ns, now.memory_bytes)


class History:
    """The readings before the present ones, by what was read."""

    def __init__(self) -> None:
        self._before: dict[str, Reading] = {}
        self._last: dict[str, Reading] = {}

    def rates(self, now: Mapping[str, Reading]) -> dict[str, Rate]:
        """The rates since the latest reading that is old enough; what has none is left out."""
        found: dict[str, Rate] = {}
        for key, reading in now.items():
            for before in (self._last.get(key), self._before.get(key)):
                if before is not None and reading.time_ns - before.time_ns >= WINDOW_MIN_NS:
                    found[key] = rate(before, reading)
                    break
        return found

    def keep(self, now: Mapping[str, Reading]) -> None:
        """Remembers readings, and forgets what is not there any more.

        A reading that comes soon after another takes its place, so that asking often does not make windows short.
        """
        for key, reading in now.items():
            last = self._last.get(key)
            if last is None or reading.time_ns - last.time_ns >= WINDOW_MIN_NS:
                if last is not None:
                    self._before[key] = last
                self._last[key] = reading
        for gone in self._last.keys() - now.keys():
            del self._last[gone]
            self._before.pop(gone, None)
