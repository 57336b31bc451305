"""A control plane in a thread of its own, for tests of programs that have no event loop or another one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from steersman import testing


@contextmanager
def plane_in_thread(*services: str, nodes: Sequence[str] = ()) -> Iterator[Path]:
    """Gives the administrator's client configuration of a control plane with hollow nodes, while the block runs."""
    ready, over = threading.Event(), threading.Event()
    found: list[Path] = []
    failed: list[BaseException] = []

    async def live() -> None:
        async with testing.control_plane(*services) as plane:
            for node in nodes:
                await plane.node(node)
            found.append(plane.configuration())
            ready.set()
            await asyncio.get_running_loop().run_in_executor(None, over.wait)

    def run() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(60), "the control plane does not start"
        if failed:
            raise failed[0]
        yield found[0]
    finally:
        over.set()
        thread.join()
