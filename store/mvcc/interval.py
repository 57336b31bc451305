"""Which keys a request means."""

from __future__ import annotations

EVERYTHING_AFTER = b"\0"


class Interval:
    """Keys from `start` up to and without `end`; `end` None means without end.

    A single key is the interval from it to its successor.
    """

    __slots__ = ("end", "single", "start")

    def __init__(self, start: bytes, range_end: bytes) -> None:
        """Reads etcd's notation: empty `range_end` is just `start`, one zero byte is everything from `start` on."""
        self.start = start
        self.single = not range_end
        self.end: bytes | None
        if self.single:
            self.end = start + b"\0"
        elif range_end == EVERYTHING_AFTER:
            self.end = None
        else:
            self.end = range_end

    def __contains__(self, key: bytes) -> bool:
        if self.single:
            return key == self.start
        return key >= self.start and (self.end is None or key < self.end)

    def overlaps(self, other: Interval) -> bool:
        """Whether some key could be in both."""
        return (other.end is None or self.start < other.end) and (self.end is None or other.start < self.end)

    @property
    def prefix(self) -> bytes | None:
        """The prefix that all keys of the interval share and that no other key has, where it is one such."""
        if self.end is None:
            return b"" if self.start == EVERYTHING_AFTER else None
        if self.single or not self.start:
            return None
        return self.start if successor(self.start) == self.end else None


def successor(prefix: bytes) -> bytes:
    """The end of the interval of all keys with `prefix`, in etcd's notation."""
    trimmed = prefix.rstrip(b"\xff")
    if not trimmed:
        return EVERYTHING_AFTER
    return trimmed[:-1] + bytes((trimmed[-1] + 1,))
