"""From nothing to an answering Service, what the control plane weighs, and how soon a killed container is back."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from steersman.client import connect_to

from lab.certificates import admin_context
from tests.bench.figures import Figure
from tests.e2e.world import EXAMPLE, STEER, World, processes_of_pod, world

STARTS = 5
KILLS = 20
CONTROL_PLANE = ("store", "apiserver", "scheduler", "controllers")


def run() -> list[Figure]:
    """Measures; needs root, takes about two minutes."""
    starts: list[float] = []
    applied: list[float] = []
    memory: list[float] = []
    restarts: list[float] = []
    with asyncio.Runner() as runner:
        for attempt in range(STARTS):
            with world() as made:
                starts.append(_start(made))
                made.steer("delete", "-f", str(EXAMPLE))
                applied.append(runner.run(_apply_to_running(made)))
                memory.append(_memory(made))
                if attempt == STARTS - 1:
                    restarts = runner.run(_restarts(made))
    return [
        Figure("steer up to the Service's answer, median of 5", statistics.median(starts), "s", "<= 10"),
        Figure(
            "control plane memory (PSS of its four services), median of 5", statistics.median(memory), "MB", "<= 300"
        ),
        Figure("apply to three pods Running, image present, median of 5", statistics.median(applied), "s", "<= 2"),
        Figure("container killed to running again, median of 20", statistics.median(restarts), "s", "<= 1"),
        Figure("container killed to running again, slowest of 20", max(restarts), "s"),
    ]


def _start(made: World) -> float:
    """Seconds from the start of `steer up --demo` to the first answer that it prints."""
    began = time.perf_counter()
    command = [STEER, "up", "--name", made.name, "--demo"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=made.environment, cwd=made.folder
    )
    took = 0.0
    assert process.stdout is not None
    for line in process.stdout:
        if "Hello from" in line:
            took = time.perf_counter() - began
            break
    _, err = process.communicate()
    assert process.returncode == 0 and took, err
    return took


def _memory(made: World) -> float:
    """Megabytes: the sum of the proportional set sizes of the control plane's services."""
    total = 0
    for service in CONTROL_PLANE:
        rollup = Path(f"/proc/{made.process_of(made.lab.control, service)}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total / 1024


async def _apply_to_running(made: World) -> float:
    """Seconds from the start of `steer apply` to three pods in phase Running, as a watcher sees it."""
    async with connect_to(admin_context(made.lab)) as api:
        began = time.perf_counter()
        applying = await asyncio.create_subprocess_exec(
            STEER, "apply", "-f", EXAMPLE, env=made.environment, stdout=subprocess.DEVNULL
        )
        running: set[str] = set()
        async for event in api.pods.watch(namespace="default", label_selector="app=web"):
            pod = event.object
            if pod is not None and pod.status.phase == "Running" and not pod.metadata.HasField("deletion_timestamp"):
                running.add(pod.metadata.uid)
            if len(running) == 3:
                break
        took = time.perf_counter() - began
        await applying.wait()
    return took


async def _restarts(made: World) -> list[float]:
    """Seconds from the kill of a container's process to the status that shows it running again, per pod once."""
    async with connect_to(admin_context(made.lab)) as api:
        await api.deployments.scale("web", KILLS, namespace="default")
        async for event in api.deployments.watch(namespace="default", name="web"):
            if event.object is not None and event.object.status.available_replicas == KILLS:
                break
        took: list[float] = []
        for pod in await api.pods.list(namespace="default", label_selector="app=web"):
            took.append(await _restart(api, pod))
    return took


async def _restart(api: Any, pod: Any) -> float:
    watch = api.pods.watch(namespace="default", name=pod.metadata.name)
    async for event in watch:
        if event.initial_state_end:
            break
    [process] = processes_of_pod(pod.metadata.uid)
    began = time.perf_counter()
    os.kill(process, signal.SIGKILL)
    async for event in watch:
        if event.object is None:
            continue
        [status] = event.object.status.container_statuses
        if status.restart_count == 1 and status.state.HasField("running"):
            break
    took = time.perf_counter() - began
    await watch.aclose()
    return took
