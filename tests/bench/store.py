"""The store beside etcd: three members each, syncs on, the same client, in turns on the same machine."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
from etcd.rpc_pb2 import PutRequest, RangeRequest, WatchCreateRequest, WatchRequest
from steersman.service.http2.channel import Channel, Dialing

from tests.bench.clusters import Cluster, Member, side_by_side
from tests.bench.figures import Figure

ROUNDS = 3
ROUND_S = 3.0
CLIENTS = (1, 16, 64, 256)
CONNECTIONS = 8
VALUE = b"v" * 256
PACED_PER_S = 1000
WATCHERS, WATCH_STREAMS, WATCHED_PUTS = 1000, 10, 40
KEYS, KEY_BYTES = 100_000, 1000
KILLS = 20

PUT, RANGE, WATCH = "/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range", "/etcdserverpb.Watch/Watch"


def run() -> list[Figure]:
    """Measures; takes about seven minutes."""
    figures: list[Figure] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        side_by_side(Path(folder)) as (ours, theirs),
        asyncio.Runner() as runner,
    ):

        def compare(
            name: str, unit: str, aim: str, measure: Callable[[Cluster], float], *, rounds: int = ROUNDS
        ) -> None:
            _say(name)
            results: dict[str, list[float]] = {ours.kind: [], theirs.kind: []}
            for _ in range(rounds):
                for cluster in (ours, theirs):
                    results[cluster.kind].append(measure(cluster))
            mine, peers = (statistics.median(results[cluster.kind]) for cluster in (ours, theirs))
            figures.append(Figure(name, mine, unit, aim, theirs.kind, peers, mine / peers))

        def asynchronous(work: Callable[[Member], Awaitable[float]]) -> Callable[[Cluster], float]:
            return lambda cluster: runner.run(_of(work(cluster.leader())))

        compare("p99 of a put at 1,000 puts/s", "ms", "ratio <= 2", asynchronous(paced_p99_ms))
        for clients in CLIENTS:
            aim = "" if 1 < clients < 64 else "ratio >= 1" if clients > 1 else "ratio >= 0.7"
            compare(f"puts/s, {clients} clients", "/s", aim, asynchronous(lambda at, n=clients: puts_per_s(at, n)))
        # Now a snapshot of what was just written is under way.
        compare("p99 of a put at 1,000 puts/s, right behind these", "ms", "", asynchronous(paced_p99_ms))
        for what, serializable in (("linearizable", False), ("serializable", True)):
            for clients in (1, 64):
                measure = asynchronous(lambda at, n=clients, s=serializable: gets_per_s(at, n, serializable=s))
                compare(f"{what} gets/s, {clients} clients", "/s", "ratio >= 0.7", measure)
        compare("events/s to 1,000 watchers of one key", "/s", "ratio >= 1", asynchronous(events_per_s))
        _say("time without a leader after kill -9 of it")
        silences = {cluster.kind: [runner.run(silence_s(cluster)) for _ in range(KILLS)] for cluster in (ours, theirs)}
        mine, peers = statistics.median(silences[ours.kind]), statistics.median(silences[theirs.kind])
        figures.append(
            Figure(
                "time without a leader after kill -9, median of 20", mine, "s", "<= 1.5", "etcd", peers, mine / peers
            )
        )
        figures.append(
            Figure(
                "the same, longest of 20",
                max(silences[ours.kind]),
                "s",
                "",
                "etcd",
                max(silences[theirs.kind]),
                max(silences[ours.kind]) / max(silences[theirs.kind]),
            )
        )
    figures.insert(-2, _memory())
    return figures


def _memory() -> Figure:
    name = "memory of the leader with 100,000 keys of 1 kB (PSS)"
    _say(name)
    # Clusters of their own: what was written before would count, and the faster one has written more.
    with tempfile.TemporaryDirectory() as folder, side_by_side(Path(folder)) as clusters, asyncio.Runner() as runner:
        for cluster in clusters:
            runner.run(_fill(cluster.leader()))
        mine, peers = (cluster.leader().memory_mb() for cluster in clusters)
    return Figure(name, mine, "MB", "ratio <= 1.5", "etcd", peers, mine / peers)


def _say(what: str) -> None:
    print(f"  {what}", file=sys.stderr, flush=True)


async def _of(work: Awaitable[float]) -> float:
    return await work


class _Calls:
    """One method over several connections of gRPC's own client."""

    def __init__(self, member: Member, method: str, connections: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channels = [grpc.aio.insecure_channel(member.target, options=options) for _ in range(connections)]
        self.methods = [channel.unary_unary(method) for channel in self._channels]

    async def __aenter__(self) -> list[Any]:
        return self.methods

    async def __aexit__(self, *_exception: object) -> None:
        for channel in self._channels:
            await channel.close()


async def _rate(member: Member, method: str, clients: int, request: Callable[[int, int], bytes]) -> float:
    """Calls per second of clients that each make their next call when they have the answer to their last."""
    async with _Calls(member, method, min(clients, CONNECTIONS)) as methods:
        await asyncio.gather(*(call(request(0, 0)) for call in methods))
        begun = time.perf_counter()
        end = begun + ROUND_S
        done = 0

        async def client(number: int) -> None:
            nonlocal done
            call = methods[number % len(methods)]
            for turn in itertools.count():
                await call(request(number, turn))
                done += 1
                if time.perf_counter() > end:
                    return

        await asyncio.gather(*(client(number) for number in range(clients)))
        return done / (time.perf_counter() - begun)


async def puts_per_s(member: Member, clients: int) -> float:
    """Puts of 256 B; each client writes a thousand keys again and again."""
    return await _rate(
        member,
        PUT,
        clients,
        lambda client, turn: PutRequest(key=b"p/%d/%d" % (client, turn % 1000), value=VALUE).SerializeToString(),
    )


async def gets_per_s(member: Member, clients: int, *, serializable: bool) -> float:
    """Gets of one key each, of those that the puts wrote."""
    return await _rate(
        member,
        RANGE,
        clients,
        lambda client, turn: RangeRequest(
            key=b"p/%d/%d" % (client % 16, turn % 100), serializable=serializable
        ).SerializeToString(),
    )


async def paced_p99_ms(member: Member) -> float:
    """How long the slowest hundredth of puts takes when they come at a steady rate, whatever became of earlier ones."""
    async with _Calls(member, PUT, CONNECTIONS) as methods:
        await asyncio.gather(*(call(PutRequest(key=b"paced").SerializeToString()) for call in methods))
        took: list[float] = []

        async def one(number: int, due: float) -> None:
            request = PutRequest(key=b"paced/%d" % (number % 1000), value=VALUE)
            await methods[number % len(methods)](request.SerializeToString())
            # Counted from when it was due: a put that had to wait for its turn was slow for its caller.
            took.append(time.perf_counter() - due)

        begun = time.perf_counter()
        calls = []
        for number in range(int(PACED_PER_S * ROUND_S)):
            due = begun + number / PACED_PER_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            calls.append(asyncio.ensure_future(one(number, due)))
        await asyncio.gather(*calls)
        return statistics.quantiles(took, n=100)[98] * 1000


async def events_per_s(member: Member) -> float:
    """Events that reach watchers of one key, which is written again when all have the last event."""
    channels = [Channel(member.target, Dialing()) for _ in range(WATCH_STREAMS)]
    try:
        waiting = 0
        complete = asyncio.Event()

        async def follow(call: Any, ready: asyncio.Event) -> None:
            nonlocal waiting
            created = 0
            while created < WATCHERS // WATCH_STREAMS:
                await call.read()
                created += 1
            ready.set()
            while True:
                # One message for each watcher and put: nothing is written while one is on its way.
                await call.read()
                waiting -= 1
                if not waiting:
                    complete.set()

        create = WatchRequest(create_request=WatchCreateRequest(key=b"watched")).SerializeToString()
        followers, readies = [], []
        for channel in channels:
            call = channel.stream_stream(WATCH)()
            for _ in range(WATCHERS // WATCH_STREAMS):
                await call.write(create)
            readies.append(asyncio.Event())
            followers.append(asyncio.create_task(follow(call, readies[-1])))
        for ready in readies:
            await ready.wait()
        put = channels[0].unary_unary(PUT)
        begun = time.perf_counter()
        for _ in range(WATCHED_PUTS):
            waiting = WATCHERS
            complete.clear()
            await put(PutRequest(key=b"watched", value=VALUE).SerializeToString())
            await complete.wait()
        took = time.perf_counter() - begun
        for follower in followers:
            follower.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
        return WATCHERS * WATCHED_PUTS / took
    finally:
        for channel in channels:
            await channel.close()


async def _fill(member: Member) -> None:
    async with _Calls(member, PUT, CONNECTIONS) as methods:
        numbers = iter(range(KEYS))

        async def client(call: Any) -> None:
            for number in numbers:
                await call(PutRequest(key=b"m/%06d" % number, value=b"x" * KEY_BYTES).SerializeToString())

        await asyncio.gather(*(client(methods[n % len(methods)]) for n in range(64)))


async def silence_s(cluster: Cluster) -> float:
    """Seconds from the kill of the leader to the first put that another acknowledges; starts it again afterwards."""
    leader = cluster.leader()
    others = [member for member in cluster.members.values() if member is not leader]
    channels = [Channel(member.target, Dialing()) for member in others]
    try:
        request = PutRequest(key=b"after", value=VALUE).SerializeToString()
        puts = [channel.unary_unary(PUT) for channel in channels]
        for put in puts:
            await put(request)
        begun = time.perf_counter()
        leader.kill()
        for put in itertools.cycle(puts):
            try:
                await put(request, timeout=0.1)
                break
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.005)
        took = time.perf_counter() - begun
    finally:
        for channel in channels:
            await channel.close()
    cluster.start(leader.name)
    cluster.leader()
    return took
