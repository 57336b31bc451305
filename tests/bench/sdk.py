"""The SDK and the command line: what they cost to start, and how an informer keeps up.

Store and apiserver are processes of their own, over mutual TLS on this machine; the informer has this process, the
writer of the events another one.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from steersman import testing
from steersman.client import Api
from steersman.core.v1 import Pod
from steersman.informer import Informer
from steersman.testing import run_virtual

from tests.bench.figures import Figure
from tests.scheduler.control_plane import ControlPlane
from tests.waiting import eventually

STARTS = 21
PODS, CREATORS = 10_000, 64
EVENTS_PER_S, EVENTS_S = 1000, 5
STEER = Path(sys.executable).with_name("steer")


def run() -> list[Figure]:
    """Measures; takes about a minute."""
    figures = [
        _started("import steersman", [sys.executable, "-c", "import steersman"], {}, "<= 120"),
        _started("steer version --client", [str(STEER), "version", "--client"], {}, "<= 150"),
    ]
    figures += _testing()
    with tempfile.TemporaryDirectory() as name:
        figures += asyncio.run(_informer(Path(name)))
    return figures


def _wall_ms(words: Sequence[str], environment: dict[str, str]) -> float:
    """Median wall clock of a whole process."""
    taken = []
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run(words, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def _started(what: str, words: Sequence[str], environment: dict[str, str], aim: str) -> Figure:
    value, bare = _wall_ms(words, environment), _wall_ms([sys.executable, "-c", "pass"], {})
    return Figure(f"{what}, whole process, median of {STARTS}", value, "ms", aim, "python -c pass", bare, value / bare)


def _testing() -> list[Figure]:
    """A control plane in this process, after the imports."""

    async def start(*services: str) -> float:
        began = time.perf_counter()
        async with testing.control_plane(*services):
            return (time.perf_counter() - began) * 1000

    async def hour() -> None:
        async with testing.control_plane() as plane:
            for number in range(3):
                await plane.node(f"n{number}")
            await asyncio.sleep(3600)

    asyncio.run(start())
    alone = statistics.median(asyncio.run(start("apiserver")) for _ in range(7))
    whole = statistics.median(asyncio.run(start()) for _ in range(7))
    began = time.perf_counter()
    run_virtual(hour())
    return [
        Figure("testing.control_plane('apiserver'), median of 7", alone, "ms", "< 1000"),
        Figure("testing.control_plane(), all services, median of 7", whole, "ms", "< 1000"),
        Figure("an hour of three nodes on virtual time", time.perf_counter() - began, "s"),
    ]


def _pod(number: int) -> Pod:
    pod = Pod(metadata={"name": f"p{number}", "namespace": "default", "labels": {"app": f"a{number % 100}"}})
    container = pod.spec.containers.add(name="main", image="registry.example/web:1.2.3")
    container.resources.requests["cpu"].value = "100m"
    container.resources.requests["memory"].value = "128Mi"
    pod.spec.node_name = f"n{number % 100}"
    return pod


async def _fill(api: Api) -> None:
    numbers = iter(range(PODS))

    async def create() -> None:
        for number in numbers:
            await api.pods.create(_pod(number))

    await asyncio.gather(*(create() for _ in range(CREATORS)))


async def _informer(folder: Path) -> list[Figure]:
    async with ControlPlane(folder) as plane, plane.connect() as api:
        small = _started(
            "steer get pods, small cluster",
            [str(STEER), "get", "pods", "-A"],
            {"STEERCONFIG": str(plane.admin)},
            "<= 350",
        )
        print(f"  {PODS} pods", file=sys.stderr, flush=True)
        await _fill(api)
        synced = []
        for _ in range(3):
            began = time.perf_counter()
            informer = Informer(api.pods)
            following = asyncio.create_task(informer.run())
            await informer.synced()
            synced.append(time.perf_counter() - began)
            assert len(informer) == PODS
            following.cancel()
        print(f"  {EVENTS_PER_S} events a second", file=sys.stderr, flush=True)
        kept = await _keep_up(plane, api)
    return [
        small,
        Figure(
            "informer with 10,000 pods: from nothing to synced, median of 3", statistics.median(synced), "s", "<= 2"
        ),
        *kept,
    ]


async def _keep_up(plane: ControlPlane, api: Api) -> list[Figure]:
    """Follows a writer in another process; how late changes are seen, and what seeing one costs."""
    informer = Informer(api.pods)
    informer.add_index("app", lambda pod: [pod.metadata.labels["app"]])
    late: list[float] = []

    def seen(_old: Pod | None, new: Pod | None) -> None:
        sent = new.metadata.annotations.get("sent") if new is not None else None
        if sent:
            late.append(time.time() - float(sent))

    following = asyncio.create_task(informer.run())
    await informer.synced()
    informer.on_change(seen)
    cpu, began = time.process_time(), time.perf_counter()
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.sdk", str(plane.admin), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await writer.communicate()
    written = int(out)
    await eventually(lambda: len(late) >= written)
    cpu, taken = time.process_time() - cpu, time.perf_counter() - began
    following.cancel()
    late.sort()
    return [
        Figure(f"informer: events followed of {EVENTS_PER_S}/s asked for", written / EVENTS_S, "/s", ">= 1000"),
        Figure("informer: a change seen after, p50", late[len(late) // 2] * 1000, "ms"),
        Figure("informer: a change seen after, p99", late[len(late) * 99 // 100] * 1000, "ms"),
        Figure("informer: events/s that one core could follow", written / cpu, "/s", ">= 1000"),
        Figure("informer: share of a core while following", 100 * cpu / taken, "%"),
    ]


async def _write(configuration: Path) -> int:
    """Changes pods at the rate asked for; returns how many within the time."""
    from steersman.client import connect

    written = 0
    async with connect(configuration) as api:

        async def change(number: int) -> None:
            nonlocal written
            patch = f'{{"metadata":{{"annotations":{{"sent":"{time.time():.6f}"}}}}}}'
            await api.pods.patch(f"p{number % PODS}", patch.encode(), namespace="default")
            written += 1

        began = time.perf_counter()
        running: set[asyncio.Task[None]] = set()
        for number in range(EVENTS_PER_S * EVENTS_S):
            due = began + number / EVENTS_PER_S
            if (pause := due - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            while len(running) > 200:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.create_task(change(number))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)
        # At the rate that was reached, if it is below the one asked for.
        taken = time.perf_counter() - began
        print(f"  written in {taken:.2f} s", file=sys.stderr)
    return written


if __name__ == "__main__":
    print(asyncio.run(_write(Path(sys.argv[1]))))
