"""Following objects: a watch that goes on where it was when the connection breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from steersman import errors
from steersman.client import BOOKMARK
from steersman.retry import Backoff

# How long the apiserver may be away before a person is told.
PATIENCE_S = 60.0


async def follow(client: Any, **selection: Any) -> AsyncIterator[Any]:
    """The events of a watch; after the first bookmark a connection that breaks is made anew, and nothing is missed.

    When the apiserver has forgotten the revision to go on from, everything comes again, as at the beginning.

    Raises:
        Unavailable: the apiserver cannot be reached at all, or not for a minute.
        ApiError: the watch is refused.
    """
    backoff = Backoff(base_s=0.1, limit_s=2.0)
    loop = asyncio.get_running_loop()
    revision, begun, lost_at = selection.pop("resource_version", ""), False, 0.0
    while True:
        try:
            async for event in client.watch(**selection, resource_version=revision):
                backoff.reset()
                lost_at = 0.0
                if event.type == BOOKMARK:
                    begun = True
                if begun:
                    revision = event.resource_version
                yield event
        except errors.Expired:
            revision, begun = "", False
        except (errors.Unavailable, errors.Exhausted):
            lost_at = lost_at or loop.time()
            if (not begun and not revision) or loop.time() - lost_at > PATIENCE_S:
                raise
            await asyncio.sleep(backoff.next_s())
