"""Waiting until objects are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from steersman import kinds
from steersman.cli.progress import Progress
from steersman.client import DELETED, Api, ResourceClient

PAUSE_S = 0.5


class _Group:
    """Objects of one kind in one namespace, which one watch follows."""

    def __init__(self, client: ResourceClient[Any], namespace: str, objects: Sequence[Any]) -> None:
        self._client = client
        self._namespace = namespace
        self._left = {obj.metadata.name: obj for obj in objects}

    async def run(self, on_gone: Callable[[Any], None]) -> None:
        """Returns when all are gone, or others have their names; a watch that breaks is begun again."""
        from steersman import errors

        while self._left:
            try:
                await self._watch(on_gone)
            except (errors.Unavailable, errors.Expired, errors.Exhausted):
                await asyncio.sleep(PAUSE_S)

    async def _watch(self, on_gone: Callable[[Any], None]) -> None:
        there: set[str] = set()
        only = next(iter(self._left)) if len(self._left) == 1 else ""
        async for event in self._client.watch(namespace=self._namespace, name=only):
            if event.object is not None:
                name = event.object.metadata.name
                waited = self._left.get(name)
                if waited is None:
                    continue
                if event.type == DELETED or event.object.metadata.uid != waited.metadata.uid:
                    self._take(name, on_gone)
                else:
                    there.add(name)
            elif event.initial_state_end:
                for name in [name for name in self._left if name not in there]:
                    self._take(name, on_gone)
            if not self._left:
                return

    def _take(self, name: str, on_gone: Callable[[Any], None]) -> None:
        on_gone(self._left.pop(name))


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

    Raises:
        ApiError: they may not be read.
    """
    left = {id(obj): obj for obj in objects}
    progress = Progress()

    def show() -> None:
        if left:
            progress.show(f"waiting for {len(left)} to go: {', '.join(map(name, left.values()))}")

    def one_less(obj: Any) -> None:
        del left[id(obj)]
        progress.clear()
        on_gone(obj)
        show()

    groups: dict[tuple[str, str], list[Any]] = {}
    for obj in objects:
        groups.setdefault((kinds.of(obj).service, obj.metadata.namespace), []).append(obj)
    show()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                watches = (_Group(api.resource(type(each[0])), key[1], each) for key, each in groups.items())
                await asyncio.gather(*(watch.run(one_less) for watch in watches))
    finally:
        progress.clear()
    return list(left.values())
