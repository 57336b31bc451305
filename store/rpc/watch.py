"""etcdserverpb.Watch: following changes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from etcd.rpc_pb2 import WatchRequest

from store.replica import Replica
from store.rpc.calls import Headers, StreamMethod
from store.watch.hub import WatchHub
from store.watch.stream import WatchStream

SERVICE = "etcdserverpb.Watch"


class Watch:
    """Serves streams of watches."""

    def __init__(self, replica: Replica, hub: WatchHub, headers: Headers, *, progress_interval_s: float) -> None:
        """Serves from `replica`; watches that asked for it hear of progress every `progress_interval_s` at least."""
        self._replica = replica
        self._hub = hub
        self._headers = headers
        self._progress_interval_s = progress_interval_s
        self._streams: set[WatchStream] = set()
        self._closing = asyncio.Event()

    def streams(self) -> dict[str, StreamMethod]:
        """The service's methods by name."""
        return {"Watch": self.watch}

    @property
    def stream_count(self) -> int:
        """Streams that are open."""
        return len(self._streams)

    def close(self) -> None:
        """Ends every stream, so that clients go on elsewhere."""
        self._closing.set()
        for stream in self._streams:
            stream.ready.set()

    async def watch(self, requests: AsyncIterator[bytes], context: Any) -> None:
        """Serves one stream until the client is done with it, or the store stops."""
        stream = WatchStream(
            self._hub, lambda: self._replica.machine.keyspace, self._headers.message, self._headers.as_field
        )
        self._streams.add(stream)
        reading = asyncio.create_task(self._read(requests, stream))
        notifying = asyncio.create_task(self._notify(stream))
        try:
            while not self._closing.is_set():
                if answers := stream.take():
                    await context.write_all(answers)
                    continue
                if reading.done() and not stream.ready.is_set():
                    reading.result()
                    return
                await stream.ready.wait()
        finally:
            self._streams.discard(stream)
            stream.close()
            for task in (reading, notifying):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task

    async def _read(self, requests: AsyncIterator[bytes], stream: WatchStream) -> None:
        try:
            async for request in requests:
                stream.handle(WatchRequest.FromString(request))
        finally:
            stream.ready.set()

    async def _notify(self, stream: WatchStream) -> None:
        while True:
            await asyncio.sleep(self._progress_interval_s)
            stream.notify_progress()
