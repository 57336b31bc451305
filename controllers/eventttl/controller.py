"""Deletes events that are older than they may get."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from steersman import errors
from steersman.client import Api
from steersman.clock import Clock, from_timestamp

LOOK_EVERY_S = 60.0


def last_seen(event: Any) -> datetime:
    """When an event last happened."""
    candidates = (event.last_timestamp, event.event_time, event.first_timestamp, event.metadata.creation_timestamp)
    return from_timestamp(next((t for t in candidates if t.seconds), event.metadata.creation_timestamp))


async def run(api: Api, clock: Clock, ttl: timedelta) -> None:
    """Deletes events older than `ttl`, until cancelled."""
    while True:
        try:
            for event in await api.events.list():
                if clock.now() - last_seen(event) > ttl:
                    try:
                        await api.events.delete(event.metadata.name, namespace=event.metadata.namespace)
                    except errors.NotFound:
                        continue
        except errors.ApiError:
            # The apiserver is away: old events wait.
            pass
        await clock.sleep(LOOK_EVERY_S)
