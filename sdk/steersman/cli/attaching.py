"""Being there when the program of a new container begins: seeing what it writes, typing what it reads."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from steersman.cli.failures import CommandError
from steersman.cli.progress import Progress
from steersman.client import DELETED, Api

# Reasons for which a container waits that do not pass by themselves.
HOPELESS = frozenset({"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "ImageInspectError"})

# How long it may take until the end of a program is known to all.
ENDED_S = 5.0


def status_of(pod: Any, container: str) -> Any:
    """The status of a container of any sort; None while there is none. Pure."""
    status = pod.status
    for group in (status.container_statuses, status.ephemeral_container_statuses, status.init_container_statuses):
        for each in group:
            if each.name == container:
                return each
    return None


def waits_for(pod: Any, container: str) -> str:
    """Why a container does not run yet, in words. Pure."""
    found = status_of(pod, container)
    if found is not None and found.state.HasField("waiting"):
        waiting = found.state.waiting
        return f"{waiting.reason}: {waiting.message}" if waiting.message else str(waiting.reason)
    for condition in pod.status.conditions:
        if condition.type == "PodScheduled" and condition.status == "False":
            return str(condition.message)
    return str(pod.status.message or pod.status.phase or "not seen by its node yet")


async def started(api: Api, namespace: str, name: str, container: str, timeout_s: float) -> Any:
    """The pod as soon as a container of it runs or has run.

    Raises:
        CommandError: it does not within `timeout_s` seconds, cannot at all, or the pod is gone.
    """
    progress, why = Progress(), "not seen by its node yet"
    try:
        async with asyncio.timeout(timeout_s):
            async for event in api.pods.watch(namespace=namespace, name=name):
                pod = event.object
                if event.type == DELETED:
                    raise CommandError(f"pod/{name} was deleted")
                if pod is None:
                    continue
                status = status_of(pod, container)
                if status is not None and (status.state.HasField("running") or status.state.HasField("terminated")):
                    return pod
                if pod.status.phase in ("Failed", "Succeeded"):
                    raise CommandError(f"pod/{name} has ended: {pod.status.reason} {pod.status.message}".strip())
                why = waits_for(pod, container)
                if status is not None and status.state.waiting.reason in HOPELESS:
                    raise CommandError(f"pod/{name} cannot start: {why}")
                progress.show(f"pod/{name} waits: {why}")
    except TimeoutError:
        raise CommandError(f"pod/{name} did not start within {timeout_s:g} s: {why}") from None
    finally:
        progress.clear()
    raise AssertionError("a watch ends only by an error")


async def stay(api: Api, pod: Any, container: str, *, stdin: bool, tty: bool) -> None:
    """Shows what a container writes, and passes on what is typed, until its program ends.

    Without anything to type the log is shown, which has also what was written before anybody looked.
    """
    from steersman import errors
    from steersman.cli.conversation import converse, raw_terminal
    from steersman.core.v1.pod_pb2 import PodAttachRequest, PodAttachStart, PodLogsRequest

    metadata = pod.metadata
    running = status_of(pod, container).state.HasField("running")
    if not stdin or not running:
        request = PodLogsRequest(namespace=metadata.namespace, name=metadata.name, container=container, follow=running)
        async for piece in api.pods.logs(request):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        return
    if tty:
        print("If there is no prompt, press Enter.", file=sys.stderr)
    start = PodAttachStart(namespace=metadata.namespace, name=metadata.name, container=container, stdin=True)
    try:
        with raw_terminal(enabled=tty):
            await converse(api.pods.attach, PodAttachRequest, start, stdin=True, tty=tty)
    except errors.ServerError:
        # What is typed on to a program that has just ended may break the conversation before its end is told.
        if await exit_code(api, metadata.namespace, metadata.name, container, ENDED_S) is None:
            raise


async def exit_code(api: Api, namespace: str, name: str, container: str, timeout_s: float) -> int | None:
    """The exit code of a container's program that has just ended; None when nobody says so within `timeout_s`."""
    try:
        async with asyncio.timeout(timeout_s):
            async for event in api.pods.watch(namespace=namespace, name=name):
                if event.type == DELETED:
                    return None
                status = status_of(event.object, container) if event.object is not None else None
                if status is not None and status.state.HasField("terminated"):
                    return int(status.state.terminated.exit_code)
    except TimeoutError:
        pass
    return None
