"""supervisord that looks after its services ten times a second.

The original looks once a second, so that a killed service waits up to two seconds for its restart, and the first start
waits one.
"""

from __future__ import annotations

from typing import Any

from supervisor import poller, supervisord

LOOK_EVERY_S = 0.1


class PromptPoller(poller.Poller):  # type: ignore[misc]
    """Waits for events, but never long."""

    def poll(self, timeout: float) -> Any:
        """Waits for events for at most `LOOK_EVERY_S` seconds."""
        return super().poll(min(timeout, LOOK_EVERY_S))


def main() -> None:
    """Runs supervisord with the arguments of the command line."""
    poller.Poller = PromptPoller
    supervisord.main()


if __name__ == "__main__":
    main()
