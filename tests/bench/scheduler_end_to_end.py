"""Pods bound per second through the real apiserver and store, everything in processes of its own on this machine.

build/venv/bin/python -m tests.bench.scheduler_end_to_end
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from steersman.client import Api

from tests.bench.scheduler import PEER, made_from, node, template
from tests.scheduler.control_plane import ControlPlane

ROOT = Path(__file__).resolve().parent.parent.parent
NODES, PODS, TOGETHER = 5000, 10_000, 64

Row = dict[str, Any]


async def all_of(count: int, work: Callable[[int], Awaitable[None]]) -> None:
    """Does the work for 0 to count - 1, some of it at a time."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    await asyncio.gather(*(worker() for _ in range(TOGETHER)))


async def make_nodes(api: Api) -> None:
    """Registers the nodes."""

    async def one(number: int) -> None:
        wanted = node(number)
        made = await api.nodes.create(wanted)
        if made.spec.taints:
            made.spec.ClearField("taints")
            made = await api.nodes.update(made)
        made.status.CopyFrom(wanted.status)
        await api.nodes.update_status(made)

    await all_of(NODES, one)


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    """Processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measured() -> tuple[float, dict[str, float]]:
    """Bindings per second, from the first seen to the last, and what each costs each process, in milliseconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with ControlPlane(folder) as plane, plane.connect() as api:
            await make_nodes(api)
            pods = list(made_from(template(namespace="default"), PODS, "pod"))
            for pod in pods:
                pod.metadata.uid = ""

            async def create(number: int) -> None:
                await api.pods.create(pods[number])

            await all_of(PODS, create)
            configuration = plane.identity("scheduler", "system:kube-scheduler")
            processes = {"store": plane.store, "apiserver": plane.apiserver}
            before = {name: cpu_s(process) for name, process in processes.items()}
            processes["scheduler"] = plane.start(
                *["scheduler", "--config", str(configuration), "--bind-address", f"unix:{folder / 'scheduler.sock'}"],
                *["--metrics-address", "", *plane.tls("scheduler")],
            )
            first = last = 0.0
            bound: set[str] = set()
            async for event in api.pods.watch(namespace="default"):
                if event.object is not None and event.object.spec.node_name:
                    last = time.monotonic()
                    first = first or last
                    bound.add(event.object.metadata.name)
                    if len(bound) == PODS:
                        break
            used = {name: cpu_s(process) - before.get(name, 0) for name, process in processes.items()}
            return PODS / (last - first), {name: 1000 * seconds / PODS for name, seconds in used.items()}


def run() -> list[Row]:
    """The figure; also written to build/bench/scheduler_end_to_end.json."""
    rate, costs = asyncio.run(measured())
    rows: list[Row] = [
        {
            "figure": f"pods bound through apiserver and store, {NODES} nodes, {PODS} pods",
            "value": round(rate),
            "unit": "pods/s",
            "aim": 1500,
            "peer": PEER,
            "peer_value": 680,
            "ratio": round(rate / 680, 1),
        },
        *(
            {
                "figure": f"processor time of the {name} for each, its start included",
                "value": round(cost, 3),
                "unit": "ms",
            }
            for name, cost in costs.items()
        ),
    ]
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scheduler_end_to_end.json").write_text(json.dumps(rows, indent=1))
    return rows


if __name__ == "__main__":
    for row in run():
        aim = f"  aim {row['aim']}" if "aim" in row else ""
        print(f"{row['figure']:<64} {row['value']:>7} {row['unit']}{aim}")
