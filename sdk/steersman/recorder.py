"""Events about objects: what a component did or could not do, for people to read.

Recording never fails and never waits: events are sent in the background, repeats are counted on the event that is
there, and when the apiserver is away the newest are kept within a bound.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict
from typing import Any

from google.protobuf.message import Message

from steersman import errors, kinds
from steersman.client import Api
from steersman.clock import Clock, RealClock, to_timestamp
from steersman.core.v1.event_pb2 import Event, EventSource
from steersman.core.v1.references_pb2 import ObjectReference
from steersman.log import get_logger
from steersman.meta.v1.object_meta_pb2 import ObjectMeta

log = get_logger(__name__)

PENDING_MAX = 1000
SENDERS = 4
REMEMBERED_MAX = 4096
MESSAGE_CHARACTERS_MAX = 1024


def reference_to(obj: Message, field_path: str = "") -> ObjectReference:
    """A reference to an object."""
    kind = kinds.of(obj)
    metadata: ObjectMeta = obj.metadata  # type: ignore[attr-defined]
    return ObjectReference(
        kind=kind.kind,
        api_version=kind.api_version,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        resource_version=metadata.resource_version,
        field_path=field_path,
    )


class Recorder:
    """Records events as one component. `run()` it, then call `event` from anywhere in the same loop."""

    def __init__(self, api: Api, component: str, *, host: str = "", clock: Clock | None = None) -> None:
        """Makes a recorder.

        Args:
            api: where to send events.
            component: who records, "kubelet", "default-scheduler".
            host: the node it runs on, if it belongs to one.
            clock: where time comes from.
        """
        self._api = api
        self._source = EventSource(component=component, host=host)
        self._clock = clock or RealClock()
        self._pending: OrderedDict[tuple[str, ...], Event] = OrderedDict()
        self._known: OrderedDict[tuple[str, ...], Event] = OrderedDict()
        self._sending: set[tuple[str, ...]] = set()
        self._wake = asyncio.Event()

    def event(self, about: Message, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        """Records an event about an object; returns at once.

        Args:
            about: the object.
            type: "Normal" or "Warning".
            reason: why, one word in CamelCase for programs.
            message: what happened, for people.
            field_path: the part of the object that it is about, "spec.containers{web}".
        """
        reference = reference_to(about, field_path)
        message = message[:MESSAGE_CHARACTERS_MAX]
        identity = (reference.kind, reference.uid, reference.name, field_path, type, reason, message)
        now = to_timestamp(self._clock.now(), whole_seconds=True)
        event = self._pending.get(identity) or self._known.get(identity)
        if event is None:
            # Two components may speak of one object in the same moment, on a virtual clock even often.
            whose = zlib.crc32(repr((self._source.component, self._source.host, *identity)).encode())
            name = f"{reference.name}.{int(self._clock.now().timestamp() * 1e6):x}{whose:08x}"
            event = Event(
                metadata=ObjectMeta(name=name, namespace=reference.namespace or "default"),
                involved_object=reference,
                reason=reason,
                message=message,
                type=type,
                source=self._source,
                first_timestamp=now,
                reporting_component=self._source.component,
                reporting_instance=self._source.host,
            )
        event.count += 1
        event.last_timestamp.CopyFrom(now)
        self._pending[identity] = event
        if len(self._pending) > PENDING_MAX:
            self._pending.popitem(last=False)
        self._wake.set()

    async def run(self) -> None:
        """Sends what is recorded, several at once, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            if not await self._send_next():
                self._wake.clear()
                await self._wake.wait()

    async def _send_next(self) -> bool:
        """Sends the first event that can be sent now; False when there is none."""
        # An event that is being sent waits for its own repeats: they change the same object.
        identity = next((key for key in self._pending if key not in self._sending), None)
        if identity is None:
            return False
        event = self._pending.pop(identity)
        self._sending.add(identity)
        try:
            await self._send(identity, event)
        finally:
            self._sending.discard(identity)
            self._wake.set()
        return True

    async def flush(self, timeout_s: float = 2.0) -> None:
        """Sends what is recorded and waits for it, at most so many seconds; for a graceful stop."""
        try:
            async with asyncio.timeout(timeout_s):
                # Those that are on their way already count too; a repeat of one of them has to wait for it.
                while self._pending or self._sending:
                    if not await self._send_next():
                        self._wake.clear()
                        await self._wake.wait()
        except TimeoutError:
            log.debug("events not sent before the stop", count=len(self._pending))

    async def _send(self, identity: tuple[str, ...], event: Event) -> None:
        client: Any = self._api.events
        sent = Event()
        sent.CopyFrom(event)
        try:
            if event.count == 1:
                await client.create(sent)
            else:
                await client.apply(sent, field_manager=self._source.component, force=True)
        except errors.Unavailable:
            self._pending.setdefault(identity, event)
            self._pending.move_to_end(identity, last=False)
            await self._clock.sleep(0.5)
            return
        except errors.ApiError as error:
            log.debug("event refused", reason=event.reason, error=error.message)
        self._known[identity] = event
        self._known.move_to_end(identity)
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)
