"""The scheduler inside a test's process; `steersman.testing` finds it by its entry point."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from steersman.testing.place import Place

from scheduler.bootstrap import Settings, serve

NAME = "default-scheduler"


@asynccontextmanager
async def run(place: Place) -> AsyncIterator[None]:
    """Decides while the block runs."""
    settings = Settings(
        config=place.configuration("scheduler", "system:kube-scheduler"),
        names=(NAME,),
        profiles=None,
        seed=place.source.getrandbits(32),
        bind_address=f"unix:{place.folder / 'scheduler.sock'}",
        metrics_address="",
        tls=place.identity("scheduler-server", "system:kube-scheduler"),
    )
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(settings, stop, clock=place.clock))
    try:
        yield
    finally:
        stop.set()
        await serving
