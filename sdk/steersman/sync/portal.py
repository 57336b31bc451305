"""An event loop in a thread of its own, through which code without one calls code that needs one."""

from __future__ import annotations

import asyncio
import os
import sys
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
        self._process = os.getpid()
        # Held while work is handed over: none is handed to a loop that is about to stop. An iterator that is collected
        # just then hands work over as well.
        self._door = threading.RLock()
        self._shut = False
        self._closing: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="steersman", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether it has been closed, or is another process', whose fork this one is."""
        return self._shut or os.getpid() != self._process

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs `work` and returns what it does; raises what it raises.

        An interrupted caller (Ctrl-C) gives the work up.

        Raises:
            RuntimeError: the portal is closed, of a process that this one is a fork of, or this is its own thread.
        """
        try:
            done = self._hand_over(work)
        except BaseException:
            work.close()
            raise
        try:
            return done.result()
        except BaseException:
            done.cancel()
            raise

    def _hand_over(self, work: Coroutine[Any, Any, T], *, last: bool = False) -> Future[T]:
        if os.getpid() != self._process:
            raise RuntimeError("the connection is of the process that this one is a fork of: make another one here")
        if threading.current_thread() is self._thread:
            raise RuntimeError("a callback cannot wait for its own connection")
        with self._door:
            if self._shut:
                raise RuntimeError("the connection is closed")
            self._shut = last
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def iterate(self, generator: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        """The items of an asynchronous generator; it is closed with this one."""

        async def following() -> Any:
            return await anext(generator, _END)

        try:
            while (item := self.call(following())) is not _END:
                yield item
        finally:
            self._end(generator)

    def _end(self, generator: AsyncGenerator[Any, None]) -> None:
        """Closes a generator, wherever an iterator that nobody wants any more happens to be collected."""
        if self.closed or sys.is_finalizing():
            # Its loop has ended it, or nobody runs it here: to wait for that would be for ever.
            return
        if threading.current_thread() is self._thread:
            closing = self._loop.create_task(_close(generator))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        else:
            self.call(_close(generator))

    async def feed(self, items: Iterable[T]) -> AsyncIterator[T]:
        """Items of the caller's, each waited for in yet another thread: the loop goes on meanwhile."""
        source: Iterator[T] = iter(items)
        while (item := await asyncio.to_thread(next, source, _END)) is not _END:
            yield item  # type: ignore[misc]

    def close(self) -> None:
        """Cancels what runs, and ends the thread. Idempotent."""
        if self.closed:
            return
        try:
            self._hand_over(_cancel_others(), last=True).result()
        finally:
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
