"""Waiting until objects are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from steersman.cli.progress import Progress
from steersman.client import DELETED, Api

PAUSE_S = 0.5


async def gone(api: Api, obj: Any) -> None:
    """Returns when an object is gone, or another one has its name; a watch that breaks is begun again.

    Raises:
        ApiError: it may not be read.
    """
    from steersman import errors

    client = api.resource(type(obj))
    while True:
        try:
            if await _watch(client, obj.metadata):
                return
        except (errors.Unavailable, errors.Expired, errors.Exhausted):
            await asyncio.sleep(PAUSE_S)


async def _watch(client: Any, metadata: Any) -> bool:
    there = False
    async for event in client.watch(namespace=metadata.namespace, name=metadata.name):
        if event.object is not None:
            if event.type == DELETED or event.object.metadata.uid != metadata.uid:
                return True
            there = True
        elif event.initial_state_end and not there:
            return True
    return False


async def all_gone(
    api: Api,
    objects: Sequence[Any],
    *,
    name: Callable[[Any], str],
    timeout_s: float | None = None,
    on_gone: Callable[[Any], None] = lambda _: None,
) -> list[Any]:
    """Waits until objects are gone, and shows on a terminal what is left.

    Args:
        api: the apiserver.
        objects: what is to go.
        name: how the terminal's line names one.
        timeout_s: how long to wait; None: as long as it takes.
        on_gone: told of each that is gone.

    Returns:
        Those that are still there after `timeout_s`.
    """
    left = {id(obj): obj for obj in objects}
    progress = Progress()

    def show() -> None:
        names = ", ".join(name(obj) for obj in left.values())
        progress.show(f"waiting for {len(left)} to go: {names}")

    async def one(obj: Any) -> None:
        await gone(api, obj)
        del left[id(obj)]
        progress.clear()
        on_gone(obj)
        if left:
            show()

    if left:
        show()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*map(one, objects))
    finally:
        progress.clear()
    return list(left.values())
