"""The apiserver with a store of one member, each a process of its own, over mutual TLS on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from steersman.core.v1 import Pod
from steersman.core.v1.pod_pb2 import PodWatchEvent, PodWriteRequest
from steersman.meta.v1.list_meta_pb2 import ListMeta
from steersman.meta.v1.requests_pb2 import GetRequest, ListRequest, WatchRequest
from steersman.service.http2.channel import Channel, Dialing
from steersman.service.tls import client_context

from tests.bench.figures import Figure
from tests.scheduler.control_plane import ControlPlane
from tests.waiting import eventually

PODS = "/steersman.core.v1.Pods/"
CLIENTS, CONNECTIONS = 64, 8
ROUND_S, ROUNDS = 4.0, 3
WATCHERS, WATCHED_WRITES = 1000, 60
NODE_WATCHERS, NODE_UPDATES, NODE_UPDATES_PER_S = 5000, 1000, 200
PACED_PER_S, PACED = 200, 800
LISTED = 10_000
# A namespace without pods: watchers are first told of those that there are.
EMPTY = "kube-public"


def run() -> list[Figure]:
    """Measures; takes about three minutes."""
    return asyncio.run(_run())


async def _run() -> list[Figure]:
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        async with ControlPlane(Path(name)) as plane, _Clients(plane) as clients:
            _say("creates")
            rates = [await clients.rate("Create", _creates(f"r{turn}")) for turn in range(ROUNDS)]
            figures.append(Figure("pod creates/s, 64 clients, median of 3", statistics.median(rates), "/s", ">= 1500"))
            _say("gets")
            rates = [await clients.rate("Get", _get) for _ in range(ROUNDS)]
            figures.append(Figure("gets by name/s, 64 clients, median of 3", statistics.median(rates), "/s", ">= 5000"))
            figures += await _watches(clients)
        second = Path(name) / "second"
        second.mkdir()
        async with ControlPlane(second) as plane, _Clients(plane) as clients:
            figures += await _lists(plane, clients)
            figures += await _by_node(clients)
    return figures


def _say(what: str) -> None:
    print(f"  {what}", file=sys.stderr, flush=True)


class _Clients:
    """Connections of an administrator; bytes in, bytes out, so that the client costs little."""

    def __init__(self, plane: ControlPlane) -> None:
        folder = plane.folder
        tls = client_context(folder / "ca.crt", folder / "admin.crt", folder / "admin.key")
        dialing = Dialing(tls=tls, server_name="apiserver")
        self.channels = [Channel(plane.socket, dialing) for _ in range(CONNECTIONS)]

    async def __aenter__(self) -> _Clients:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        for channel in self.channels:
            await channel.close()

    def unary(self, method: str, number: int = 0) -> Any:
        return self.channels[number % CONNECTIONS].unary_unary(PODS + method)

    async def rate(self, method: str, request: Callable[[int, int], bytes]) -> float:
        """Calls per second of clients that each make their next call when they have the answer to their last."""
        begun = time.perf_counter()
        done = 0

        async def client(number: int) -> None:
            nonlocal done
            call = self.unary(method, number)
            for turn in itertools.count():
                await call(request(number, turn))
                done += 1
                if time.perf_counter() - begun > ROUND_S:
                    return

        await asyncio.gather(*(client(number) for number in range(CLIENTS)))
        return done / (time.perf_counter() - begun)

    async def each(self, method: str, requests: list[bytes]) -> None:
        """Makes all these calls, 64 at a time."""
        numbers = iter(range(len(requests)))

        async def client(number: int) -> None:
            call = self.unary(method, number)
            for index in numbers:
                await call(requests[index])

        await asyncio.gather(*(client(number) for number in range(CLIENTS)))


def _pod(name: str, *, namespace: str = "default", node: str = "", filling: int = 0) -> Pod:
    pod = Pod(metadata={"name": name, "namespace": namespace, "labels": {"app": "bench"}})
    pod.spec.node_name = node
    container = pod.spec.containers.add(name="c", image="registry.example/app:1")
    container.resources.requests["cpu"].value = "100m"
    container.resources.requests["memory"].value = "64Mi"
    if filling:
        pod.metadata.annotations["filling"] = "x" * filling
    return pod


def _create(pod: Pod) -> bytes:
    return PodWriteRequest(object=pod).SerializeToString()


def _creates(run: str) -> Callable[[int, int], bytes]:
    return lambda client, turn: _create(_pod(f"{run}-{client}-{turn}"))


def _get(client: int, turn: int) -> bytes:
    return GetRequest(namespace="default", name=f"r0-{client}-{turn % 10}").SerializeToString()


@contextlib.asynccontextmanager
async def _watching(
    clients: _Clients, namespace: str, selectors: list[str], heard: Callable[[bytes], None]
) -> AsyncIterator[None]:
    """Watches one selector each, from the present on; `heard` gets every message but those of the beginning."""
    ready = asyncio.Semaphore(0)

    async def follow(number: int, selector: str) -> None:
        request = WatchRequest(namespace=namespace, field_selector=selector).SerializeToString()
        call = clients.channels[number % CONNECTIONS].unary_stream(PODS + "Watch")(request)
        begun = False
        async for message in call:
            if begun:
                heard(message)
            elif PodWatchEvent.FromString(message).initial_state_end:
                begun = True
                ready.release()

    tasks = [asyncio.create_task(follow(number, selector)) for number, selector in enumerate(selectors)]
    try:
        for _ in selectors:
            await ready.acquire()
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _watches(clients: _Clients) -> list[Figure]:
    _say("events to 1,000 watchers")
    waiting = 0
    complete = asyncio.Event()

    def count(message: bytes) -> None:
        nonlocal waiting
        if len(message) > 100:  # Bookmarks are shorter.
            waiting -= 1
            if not waiting:
                complete.set()

    create = clients.unary("Create")
    async with _watching(clients, EMPTY, [""] * WATCHERS, count):
        begun = time.perf_counter()
        for number in range(WATCHED_WRITES):
            waiting = WATCHERS
            complete.clear()
            await create(_create(_pod(f"watched-{number}", namespace=EMPTY)))
            await complete.wait()
        rate = WATCHERS * WATCHED_WRITES / (time.perf_counter() - begun)

    _say("latency of events")
    acknowledged: dict[bytes, float] = {}
    took: list[float] = []
    seen: dict[bytes, float] = {}

    def note(message: bytes) -> None:
        place = message.find(b"paced-")
        if place >= 0:
            seen[message[place : place + 11]] = time.perf_counter()

    async with _watching(clients, EMPTY, [""], note):

        async def one(number: int) -> None:
            name = f"paced-{number:05}"
            await clients.unary("Create", number)(_create(_pod(name, namespace=EMPTY)))
            acknowledged[name.encode()] = time.perf_counter()

        begun = time.perf_counter()
        calls = []
        for number in range(PACED):
            await asyncio.sleep(max(0.0, begun + number / PACED_PER_S - time.perf_counter()))
            calls.append(asyncio.ensure_future(one(number)))
        await asyncio.gather(*calls)
        await eventually(lambda: len(seen) >= PACED, 30)
        took = [max(0.0, seen[name] - when) for name, when in acknowledged.items()]
    return [
        Figure("watch events/s to 1,000 watchers", rate, "/s", ">= 40000"),
        Figure(
            "write acknowledged to event seen, p99 at 200/s",
            statistics.quantiles(took, n=100)[98] * 1000,
            "ms",
            "<= 20",
        ),
    ]


def _memory_kb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("the kernel does not say")


class _Probe:
    """Another client's calls, one after the other: the longest says how long the event loop was busy with something."""

    def __init__(self, clients: _Clients) -> None:
        self._get = clients.unary("Get")
        self._request = GetRequest(namespace="default", name="probed").SerializeToString()
        self.took: list[float] = []

    async def __aenter__(self) -> _Probe:
        await self._get(self._request)
        self._task = asyncio.create_task(self._run())
        return self

    async def _run(self) -> None:
        while True:
            begun = time.perf_counter()
            await self._get(self._request)
            self.took.append((time.perf_counter() - begun) * 1000)
            await asyncio.sleep(0.002)

    async def __aexit__(self, *_exception: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def _lists(plane: ControlPlane, clients: _Clients) -> list[Figure]:
    _say("lists of 10,000 pods")
    create = clients.unary("Create")
    await create(_create(_pod("probed")))
    empty = _memory_kb(plane.apiserver.pid)
    pods = [_pod(f"listed-{number:05}", node=f"n{number % NODE_WATCHERS}", filling=1500) for number in range(LISTED)]
    await clients.each("Create", [_create(pod) for pod in pods])
    encoded = len(pods[0].SerializeToString())
    grown = (_memory_kb(plane.apiserver.pid) - empty) / LISTED
    took: list[float] = []
    # A connection of its own: the answer of 20 MB would stand in the way of the other calls on the same one.
    list_call = clients.channels[1].unary_unary(PODS + "List")
    async with _Probe(clients) as probe:
        for _ in range(5):
            begun = time.perf_counter()
            token, size = "", 0
            while True:
                request = ListRequest(namespace="default", continue_token=token)
                answer = await list_call(request.SerializeToString())
                size += len(answer)
                # Parsing the pods would keep this process, and so the probe, from their turns.
                token = ListMeta.FromString(answer[2 : 2 + answer[1]]).continue_token
                if not token:
                    break
            took.append((time.perf_counter() - begun) * 1000)
            assert size > LISTED * encoded, "all of them"
    return [
        Figure(f"memory per cached pod of {encoded} B (PSS)", grown, "kB", "<= 6"),
        Figure("list of 10,000 pods, median of 5", statistics.median(took), "ms", "<= 400"),
        Figure("longest call of another client meanwhile", max(probe.took), "ms", "<= 20"),
    ]


async def _by_node(clients: _Clients) -> list[Figure]:
    _say("5,000 watchers by node")
    heard = 0

    def count(message: bytes) -> None:
        nonlocal heard
        heard += len(message) > 100

    get, update = clients.unary("Get"), clients.unary("Update")
    selectors = [f"spec.nodeName=n{number}" for number in range(NODE_WATCHERS)]
    async with _watching(clients, "default", selectors, count), _Probe(clients) as probe:

        async def one(number: int) -> None:
            wanted = GetRequest(namespace="default", name=f"listed-{number % LISTED:05}")
            pod = Pod.FromString(await get(wanted.SerializeToString()))
            pod.metadata.labels["turn"] = str(number)
            await update(_create(pod))

        begun = time.perf_counter()
        calls = []
        for number in range(NODE_UPDATES):
            await asyncio.sleep(max(0.0, begun + number / NODE_UPDATES_PER_S - time.perf_counter()))
            calls.append(asyncio.ensure_future(one(number)))
        await asyncio.gather(*calls)
        await eventually(lambda: heard >= NODE_UPDATES, 30)
    return [
        Figure("longest call of another client, 5,000 watchers by node, 200 updates/s", max(probe.took), "ms", "<= 50")
    ]
