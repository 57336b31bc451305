"""What watchers were told, from the beginning to the end of a cluster's life."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from tests.store.client import Client, StreamEnded


@dataclass(frozen=True)
class Write:
    """One revision: the value that a key got."""

    revision: int
    key: bytes
    value: bytes


@dataclass
class Tape:
    """One watch over everything, taken up again where it ended, at whichever member `choose` names."""

    choose: Callable[[], Client]
    # Silence in seconds after which another member is tried; a member that is cut off has nothing to tell.
    patience_s: float
    told: list[Write] = field(default_factory=list)

    @property
    def last(self) -> int:
        return self.told[-1].revision if self.told else 1

    async def record(self) -> None:
        """Until it is cancelled. Raises AssertionError at a gap, a duplicate or a wrong order."""
        while True:
            call = self.choose().watch_stream()
            try:
                await asyncio.wait_for(
                    call.create(b"", b"\0", start_revision=self.last + 1), timeout=self.patience_s + 2
                )
                while True:
                    response = await call.read(self.patience_s)
                    assert not response.canceled, response
                    for event in response.events:
                        assert event.kv.mod_revision == self.last + 1, (
                            f"a watch told revision {event.kv.mod_revision} after {self.last}"
                        )
                        self.told.append(Write(event.kv.mod_revision, event.kv.key, event.kv.value))
            except (TimeoutError, StreamEnded, grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await asyncio.sleep(0.05)
            finally:
                call.cancel()
