"""How long a container that keeps ending waits for its next start: 10 s, doubling up to 5 min, as in Kubernetes.

The first restart is immediate. A container that ran for 10 minutes since the last delay starts over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

BASE_S = 10.0
LIMIT_S = 300.0
# Twice the longest delay, as Kubernetes has it.
RESET_AFTER_S = 2 * LIMIT_S


@dataclass(frozen=True)
class CrashBackoff:
    """The delay that the next start must keep from the last end.

    Attributes:
        delay_s: seconds between an end and the next start.
        updated_at: when the delay was last raised.
    """

    delay_s: float
    updated_at: datetime

    def _expired(self, finished_at: datetime) -> bool:
        return (finished_at - self.updated_at).total_seconds() > RESET_AFTER_S

    def hold_until(self, finished_at: datetime) -> datetime:
        """When a container that ended at `finished_at` may start again."""
        if self._expired(finished_at):
            return finished_at
        return finished_at + timedelta(seconds=self.delay_s)


def after_start(
    entry: CrashBackoff | None, now: datetime, finished_at: datetime | None, *, base_s: float = BASE_S
) -> CrashBackoff:
    """The entry after a restart at `now` of a container that ended at `finished_at`.

    An entry that was not raised for `RESET_AFTER_S` starts over at `base_s`.
    """
    if entry is None or entry._expired(finished_at or now):
        return CrashBackoff(base_s, now)
    return CrashBackoff(min(LIMIT_S, entry.delay_s * 2), now)
