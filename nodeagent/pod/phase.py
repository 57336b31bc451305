"""The phase of a pod, from what its containers do and its restart policy."""

from __future__ import annotations

from datetime import datetime, timedelta

from steersman.clock import from_timestamp
from steersman.core.v1.pod_pb2 import Pod

from nodeagent.pod.resources import is_sidecar
from nodeagent.pod.restarts import restarts
from nodeagent.pod.state import Life, PodRuntime

PENDING = "Pending"
RUNNING = "Running"
SUCCEEDED = "Succeeded"
FAILED = "Failed"

TERMINAL = (SUCCEEDED, FAILED)


def active_deadline(pod: Pod) -> datetime | None:
    """When the pod fails for having been active too long; None when it may be so for ever or has not begun."""
    if not pod.spec.HasField("active_deadline_seconds") or not pod.status.HasField("start_time"):
        return None
    return from_timestamp(pod.status.start_time) + timedelta(seconds=pod.spec.active_deadline_seconds)


def initialized(pod: Pod, runtime: PodRuntime) -> bool:
    """Whether init containers are behind the pod: any of the others was started in the present sandbox."""
    return any(
        (record := runtime.latest_here(container.name)) is not None and record.life is not Life.CREATED
        for container in pod.spec.containers
    )


def init_complete(pod: Pod, runtime: PodRuntime) -> bool:
    """Whether every init container has ended well (sidecars: is running), or they are behind the pod."""
    if initialized(pod, runtime):
        return True
    for container in pod.spec.init_containers:
        record = runtime.latest(container.name)
        if record is None:
            return False
        if is_sidecar(container):
            if record.life is not Life.RUNNING:
                return False
        elif not record.succeeded:
            return False
    return True


def of(pod: Pod, runtime: PodRuntime, *, going: bool = False) -> str:
    """The phase that follows from the containers; with `going`, an ended pod's containers count as final."""
    begun = initialized(pod, runtime)
    if not begun and not any(runtime.latest(each.name) for each in pod.spec.containers):
        for container in pod.spec.init_containers:
            record = runtime.latest(container.name)
            if record is None or is_sidecar(container):
                continue
            if record.life is Life.EXITED and record.exit_code != 0:
                never = not restarts(pod, container, record.exit_code, init=True)
                if never or going:
                    return FAILED
        if going and runtime.containers and not runtime.alive:
            return FAILED
        return PENDING
    waiting = running = stopped = succeeded = unknown = 0
    again = False
    for container in pod.spec.containers:
        record = runtime.latest(container.name)
        if record is None or record.life is Life.CREATED:
            waiting += 1
        elif record.life is Life.RUNNING:
            running += 1
        elif record.life is Life.UNKNOWN:
            unknown += 1
        else:
            stopped += 1
            succeeded += record.exit_code == 0
            again = again or restarts(pod, container, record.exit_code)
    if going and not running and not unknown:
        return SUCCEEDED if stopped == succeeded and not waiting else FAILED
    if waiting:
        return PENDING
    if running or unknown or again:
        return RUNNING
    return SUCCEEDED if stopped == succeeded else FAILED
