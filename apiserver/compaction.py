"""Letting the store forget: history is kept for a while, and not for ever.

The store is told to forget what is older than one interval, as Kubernetes' apiserver does with etcd. Several apiservers
may do so side by side: what is forgotten already stays forgotten.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from apiserver import errors
from apiserver.storage.port import Storage

log = structlog.get_logger(__name__)


async def run(
    storage: Storage, revision: Callable[[], int], *, interval_s: float, sleep: Callable[[float], Awaitable[None]]
) -> None:
    """Compacts, until cancelled, each time to where the store was one interval before.

    Args:
        storage: the store.
        revision: the store's revision as far as it is known here.
        interval_s: how long history is kept at least, seconds.
        sleep: waits so many seconds.
    """
    before = revision()
    while True:
        await sleep(interval_s)
        present = revision()
        if before > 0:
            try:
                await storage.compact(before)
                log.debug("compacted", revision=before)
            except errors.ApiserverError as error:
                # The store is away: there is a next time.
                log.warning("history was not compacted", revision=before, error=str(error))
        before = present
