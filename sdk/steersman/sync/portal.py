"""An event loop in a thread of its own, through which code without one calls code that needs one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Final, TypeVar

T = TypeVar("T")

_END: Final = object()


class Portal:
    """Runs coroutines for callers in other threads. The thread is a daemon; `close` ends it."""

    def __init__(self) -> None:
        """Starts the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="steersman", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._loop.is_closed()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs `work` and returns what it does; raises what it raises.

        An interrupted caller (Ctrl-C) gives the work up.

        Raises:
            RuntimeError: the portal is closed, or this is the portal's own thread.
        """
        if self.closed or threading.current_thread() is self._thread:
            work.close()
            reason = "the connection is closed" if self.closed else "a callback cannot wait for its own connection"
            raise RuntimeError(reason)
        done: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return done.result()
        except BaseException:
            done.cancel()
            raise

    def iterate(self, generator: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        """The items of an asynchronous generator; it is closed with this one."""

        async def following() -> Any:
            return await anext(generator, _END)

        try:
            while (item := self.call(following())) is not _END:
                yield item
        finally:
            if not self._loop.is_closed():
                self.call(_close(generator))

    async def feed(self, items: Iterable[T]) -> AsyncIterator[T]:
        """Items of the caller's, each waited for in yet another thread: the loop goes on meanwhile."""
        source: Iterator[T] = iter(items)
        while (item := await asyncio.to_thread(next, source, _END)) is not _END:
            yield item  # type: ignore[misc]

    def close(self) -> None:
        """Cancels what runs, and ends the thread. Idempotent."""
        if self._loop.is_closed():
            return
        self.call(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _close(generator: AsyncGenerator[Any, None]) -> None:
    await generator.aclose()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    loop = asyncio.get_running_loop()
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
