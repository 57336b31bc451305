"""The way to other members: one gRPC stream to each of them, over mutual TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import grpc
import structlog
from etcd.peer_pb2 import (
    Answer,
    Envelope,
    Envelopes,
    Hello,
    IdentifyReply,
    IdentifyRequest,
    Question,
    SnapshotReply,
)
from google.protobuf.message import Message
from steersman.service.http2.channel import Channel, Dialing
from steersman.service.http2.client import ClientCall

from store.errors import RequestTimeout
from store.members import Members
from store.settings import Endpoint

log = structlog.get_logger(__name__)

SERVICE = "steersman.store.Peer"
REMOVED = "the member has been removed from the cluster"
RETRY_S = 0.05
RETRY_MAX_S = 1.0
CONNECT_S = 2.0
ASK_S = 5.0
# Silence of a member that is being sent to, in seconds, after which the stream to it is opened anew: what a network
# that was cut holds back would otherwise arrive only when the operating system feels like it.
SILENCE_S = 2.0
# What may wait for one member; with more the stream is given up, and what it carried is sent anew later.
QUEUE_BYTES = 64 * 1024 * 1024


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def open_channel(url: str, tls: ssl.SSLContext | None) -> Channel:
    """A channel to a member's peer url."""
    endpoint = Endpoint.parse(url)
    return Channel(endpoint.address, Dialing(tls=tls if endpoint.secure else None, pause_max_s=RETRY_S * 10))


async def identify(url: str, tls: ssl.SSLContext | None) -> IdentifyReply:
    """Asks the member at `url` whose cluster it is in. Raises grpc.aio.AioRpcError."""
    async with open_channel(url, tls) as channel:
        call = channel.unary_unary(
            f"/{SERVICE}/Identify",
            request_serializer=_serialize,
            response_deserializer=IdentifyReply.FromString,
        )
        reply: IdentifyReply = await call(IdentifyRequest(), timeout=ASK_S)
        return reply


class Events:
    """What a network tells of the ways to other members."""

    def __init__(
        self, connected: Callable[[int], None], disconnected: Callable[[int], None], removed: Callable[[], None]
    ) -> None:
        """`connected` and `disconnected` are told a member; `removed` that this member is one no more."""
        self.connected = connected
        self.disconnected = disconnected
        self.removed = removed


class _PeerLink:
    """The stream to one member, opened again whenever it breaks."""

    def __init__(self, network: PeerNetwork, member: int, urls: tuple[str, ...]) -> None:
        self.urls = urls
        self._network = network
        self._member = member
        self._queue: list[Envelope] = []
        self._queued_bytes = 0
        self._ready = asyncio.Event()
        self._open = False
        self._overflown = False
        self._unanswered_since: float | None = None
        self._channel: Channel | None = None
        self._attempt = 0
        self._call: ClientCall | None = None
        self._task = asyncio.create_task(self._run())

    def send(self, envelopes: list[Envelope]) -> None:
        if not self._open:
            return
        if not self._queue and self._call is not None:
            # Most often there is room, and nothing has to wait for the task that sends.
            if self._unanswered_since is None:
                self._unanswered_since = self._network.now()
            if self._call.write_now(Envelopes(envelopes=envelopes).SerializeToString()):
                return
        self._queue += envelopes
        self._queued_bytes += sum(envelope.ByteSize() for envelope in envelopes)
        if self._queued_bytes > QUEUE_BYTES:
            self._overflown = True
        if self._unanswered_since is None:
            self._unanswered_since = self._network.now()
        self._ready.set()

    def heard(self) -> None:
        self._unanswered_since = None

    @property
    def is_silent(self) -> bool:
        since = self._unanswered_since
        return since is not None and self._network.now() - since > SILENCE_S

    def channel(self) -> Channel:
        if self._channel is None:
            self._channel = open_channel(self.urls[self._attempt % len(self.urls)], self._network.tls)
        return self._channel

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._close_channel()

    async def _close_channel(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def _run(self) -> None:
        pause = RETRY_S
        while True:
            try:
                await self._stream()
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and not _call_was_cut():
                    raise
                details = error.details() if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__
                if details == REMOVED:
                    self._network.events.removed()
            if self._open:
                self._open = False
                pause = RETRY_S
                log.info("a member cannot be reached", member=f"{self._member:x}", url=self.urls[0])
                self._network.events.disconnected(self._member)
            await self._close_channel()
            self._attempt += 1
            await asyncio.sleep(pause)
            pause = min(RETRY_MAX_S, pause * 2)

    async def _stream(self) -> None:
        call = self.channel().stream_stream(
            f"/{SERVICE}/Messages", request_serializer=_serialize, response_deserializer=bytes
        )()
        try:
            await asyncio.wait_for(call.write(Envelopes(hello=self._network.hello(self._member))), CONNECT_S)
            if await asyncio.wait_for(call.read(), CONNECT_S) is grpc.aio.EOF:
                raise await _ended(call)
            self._queue, self._queued_bytes, self._overflown = [], 0, False
            self._unanswered_since = None
            self._open = True
            self._network.events.connected(self._member)
            self._call = call
            ended = asyncio.ensure_future(call.read())
            ended.add_done_callback(lambda _done: self._ready.set())
            try:
                while not ended.done() and not self._overflown:
                    await self._ready.wait()
                    self._ready.clear()
                    if self._queue:
                        envelopes, self._queue, self._queued_bytes = self._queue, [], 0
                        await call.write(Envelopes(envelopes=envelopes))
                if ended.done():
                    raise await _ended(call)
            finally:
                ended.cancel()
                await asyncio.gather(ended, return_exceptions=True)
        finally:
            self._call = None
            call.cancel()

    def look(self) -> None:
        """Gives the stream up when the other side has been silent for too long."""
        if self._call is not None and self.is_silent:
            self._call.cancel()


class PeerNetwork:
    """All members that messages go to. It is the `Link` of the courier."""

    def __init__(
        self,
        *,
        cluster: int,
        member: int,
        peer_urls: tuple[str, ...],
        tls: ssl.SSLContext | None,
        now: Callable[[], float],
        events: Events,
    ) -> None:
        """A network without members.

        Args:
            cluster: the cluster's number.
            member: this member.
            peer_urls: where the others can reach this member.
            tls: certificate of this member, and what it trusts; None for plain text.
            now: monotonic seconds.
            events: is told who can be reached.
        """
        self.tls = tls
        self.now = now
        self.events = events
        self._cluster = cluster
        self._member = member
        self._peer_urls = peer_urls
        self._links: dict[int, _PeerLink] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def hello(self, member: int) -> Hello:
        """Who opens a stream to `member`."""
        return Hello(cluster_id=self._cluster, sender=self._member, destination=member, peer_urls=self._peer_urls)

    def transmit(self, member: int, envelopes: list[Envelope]) -> None:
        """As the port says."""
        link = self._links.get(member)
        if link is not None:
            link.send(envelopes)

    def heard(self, member: int) -> None:
        """Something arrived from `member`."""
        link = self._links.get(member)
        if link is not None:
            link.heard()

    async def look_after(self) -> None:
        """Watches over all ways, until it is cancelled."""
        while True:
            await asyncio.sleep(SILENCE_S / 4)
            for link in self._links.values():
                link.look()

    def learn(self, member: int, urls: tuple[str, ...]) -> None:
        """`member` can be reached at `urls`. It may be one that this member has not read of in the log yet."""
        link = self._links.get(member)
        if member == self._member or not urls or (link is not None and link.urls == urls):
            return
        if link is not None:
            self._drop(member)
        self._links[member] = _PeerLink(self, member, urls)

    def configure(self, members: Members) -> None:
        """Keeps ways to these members, and to no removed one."""
        for member in members.all():
            self.learn(member.ID, tuple(member.peerURLs))
        for gone in set(self._links) & members.removed:
            self._drop(gone)

    def _drop(self, member: int) -> None:
        task = asyncio.create_task(self._links.pop(member).close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        self.events.disconnected(member)

    def channel(self, member: int) -> Channel:
        """The channel to `member`. Raises RequestTimeout when there is no way to it."""
        link = self._links.get(member)
        if link is None:
            raise RequestTimeout
        return link.channel()

    async def ask(self, member: int, question: Question) -> Answer:
        """Puts a question to `member`. Raises RequestTimeout when it does not answer."""
        question.cluster_id = self._cluster
        call = self.channel(member).unary_unary(
            f"/{SERVICE}/Ask", request_serializer=_serialize, response_deserializer=Answer.FromString
        )
        try:
            answer: Answer = await call(question, timeout=ASK_S)
            return answer
        except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not _call_was_cut():
                raise
            raise RequestTimeout from error

    async def install_snapshot(self, member: int, chunks: Any) -> int:
        """Streams a snapshot to `member`; the index it then has. Raises grpc.aio.AioRpcError."""
        call = self.channel(member).stream_unary(
            f"/{SERVICE}/InstallSnapshot",
            request_serializer=_serialize,
            response_deserializer=SnapshotReply.FromString,
        )
        reply: SnapshotReply = await call(chunks)
        return reply.index

    async def close(self) -> None:
        """Closes all ways."""
        links, self._links = list(self._links.values()), {}
        await asyncio.gather(*(link.close() for link in links), *self._closing, return_exceptions=True)


async def _ended(call: Any) -> grpc.aio.AioRpcError:
    """How the other side ended the call."""
    return grpc.aio.AioRpcError(await call.code(), grpc.aio.Metadata(), grpc.aio.Metadata(), await call.details())


def _call_was_cut() -> bool:
    """Whether the call was cancelled because its channel was closed, and not because its caller was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() == 0
