"""The status of a pod, from what the runtime says, what the plan waits for and what was written before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from steersman.clock import to_timestamp
from steersman.core.v1.container_pb2 import Container
from steersman.core.v1.container_status_pb2 import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
)
from steersman.core.v1.pod_pb2 import HostIP, Pod, PodCondition, PodIP, PodStatus

from nodeagent.pod import phase
from nodeagent.pod.plan import Memory, Waiting
from nodeagent.pod.resources import is_sidecar, qos_class
from nodeagent.pod.state import ContainerRecord, Life, PodRuntime

CREATING = "ContainerCreating"
INITIALIZING = "PodInitializing"
STATUS_UNKNOWN = "ContainerStatusUnknown"
EXIT_UNKNOWN = 137


@dataclass(frozen=True)
class Verdict:
    """Why the agent ended a pod for good, for its status."""

    reason: str
    message: str


@dataclass(frozen=True)
class Surroundings:
    """What a status needs to know beyond the pod and the runtime.

    Attributes:
        host_ips: addresses of the node.
        memory: the worker's memory.
        waiting: from the plan.
        going: the pod is being stopped for good.
        verdict: why the agent ended it, if it did.
    """

    host_ips: Sequence[str] = ()
    memory: Memory = field(default_factory=Memory)
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    going: bool = False
    verdict: Verdict | None = None


def build(pod: Pod, runtime: PodRuntime, around: Surroundings, now: datetime) -> PodStatus:
    """The status to write now. Conditions that belong to others, and what does not change, are taken from `pod`."""
    before = pod.status
    status = PodStatus(
        qos_class=before.qos_class or qos_class(pod),
        nominated_node_name=before.nominated_node_name,
        observed_generation=pod.metadata.generation,
        # What others write stays as it is.
        resource_claim_statuses=before.resource_claim_statuses,
        node_allocatable_resource_claim_statuses=before.node_allocatable_resource_claim_statuses,
    )
    if before.HasField("extended_resource_claim_status"):
        status.extended_resource_claim_status.CopyFrom(before.extended_resource_claim_status)
    if before.HasField("start_time"):
        status.start_time.CopyFrom(before.start_time)
    else:
        status.start_time.CopyFrom(to_timestamp(now, whole_seconds=True))
    initialized = phase.init_complete(pod, runtime)
    status.init_container_statuses.extend(
        _container_status(pod, each, before.init_container_statuses, runtime, around, False)
        for each in pod.spec.init_containers
    )
    status.container_statuses.extend(
        _container_status(pod, each, before.container_statuses, runtime, around, not initialized)
        for each in pod.spec.containers
    )
    for ephemeral in pod.spec.ephemeral_containers:
        container = Container()
        container.ParseFromString(ephemeral.ephemeral_container_common.SerializeToString())
        status.ephemeral_container_statuses.append(
            _container_status(pod, container, before.ephemeral_container_statuses, runtime, around, False)
        )
    _set_phase(status, pod, runtime, around)
    _set_addresses(status, pod, runtime, around)
    _set_conditions(status, pod, runtime, initialized, now)
    return status


def _set_phase(status: PodStatus, pod: Pod, runtime: PodRuntime, around: Surroundings) -> None:
    before = pod.status
    if before.phase in phase.TERMINAL:
        # An end is for ever.
        status.phase, status.reason, status.message = before.phase, before.reason, before.message
        return
    if around.verdict is not None:
        status.reason, status.message = around.verdict.reason, around.verdict.message
        status.phase = phase.RUNNING if runtime.alive else phase.FAILED
        return
    found = phase.of(pod, runtime, going=around.going)
    if found in phase.TERMINAL and runtime.alive:
        # Sidecars are still ending.
        found = phase.RUNNING
    status.phase = found


def _set_addresses(status: PodStatus, pod: Pod, runtime: PodRuntime, around: Surroundings) -> None:
    if around.host_ips:
        status.host_ip = around.host_ips[0]
        status.host_ips.extend(HostIP(ip=ip) for ip in around.host_ips)
    sandbox = runtime.sandbox
    ips: Sequence[str] = ()
    if pod.spec.host_network:
        ips = around.host_ips
    elif sandbox is not None:
        ips = sandbox.ips
    elif status.phase not in phase.TERMINAL or around.going:
        # The last address stays visible while the pod ends.
        ips = [each.ip for each in pod.status.pod_ips]
    if ips:
        status.pod_ip = ips[0]
        status.pod_ips.extend(PodIP(ip=ip) for ip in ips)


def terminated(record: ContainerRecord) -> ContainerStateTerminated:
    """The state of a container that has ended."""
    state = ContainerStateTerminated(
        exit_code=record.exit_code,
        reason=record.reason or ("Completed" if record.exit_code == 0 else "Error"),
        message=record.message,
        container_id=_qualified(record.id),
    )
    if record.started_at is not None:
        state.started_at.CopyFrom(to_timestamp(record.started_at, whole_seconds=True))
    if record.finished_at is not None:
        state.finished_at.CopyFrom(to_timestamp(record.finished_at, whole_seconds=True))
    return state


def _qualified(container_id: str) -> str:
    return f"containerd://{container_id}"


def _container_status(
    pod: Pod,
    container: Container,
    before: Iterable[ContainerStatus],
    runtime: PodRuntime,
    around: Surroundings,
    initializing: bool,
) -> ContainerStatus:
    name = container.name
    old = next((each for each in before if each.name == name), None)
    latest = runtime.latest(name)
    status = ContainerStatus(name=name, image=container.image, started=False)
    if latest is None:
        return _without_record(pod, status, old, around, initializing)
    status.image = latest.image or container.image
    status.image_id = latest.image_id
    status.container_id = _qualified(latest.id)
    status.restart_count = latest.attempt
    previous = runtime.previous(name)
    if previous is not None:
        status.last_state.terminated.CopyFrom(terminated(previous))
    elif old is not None and old.container_id == status.container_id and old.last_state.HasField("terminated"):
        status.last_state.CopyFrom(old.last_state)
    waits = around.waiting.get(name) or _problem(around, name)
    if latest.life is Life.RUNNING:
        started_at = latest.started_at or latest.created_at
        status.state.running.CopyFrom(ContainerStateRunning(started_at=to_timestamp(started_at, whole_seconds=True)))
        health = around.memory.health.get(latest.id)
        status.started = health is not None and health.started
        status.ready = health is not None and health.started and health.ready
    elif latest.life is Life.EXITED:
        if waits is not None and not around.going:
            status.state.waiting.CopyFrom(ContainerStateWaiting(reason=waits.reason, message=waits.message))
            status.last_state.Clear()
            status.last_state.terminated.CopyFrom(terminated(latest))
        else:
            status.state.terminated.CopyFrom(terminated(latest))
            init_done = latest.exit_code == 0 and any(each.name == name for each in pod.spec.init_containers)
            status.ready = init_done and not is_sidecar(container)
    elif latest.life is Life.CREATED:
        reason = waits or Waiting(INITIALIZING if initializing else CREATING)
        status.state.waiting.CopyFrom(ContainerStateWaiting(reason=reason.reason, message=reason.message))
    else:
        status.state.terminated.CopyFrom(
            ContainerStateTerminated(exit_code=EXIT_UNKNOWN, reason=STATUS_UNKNOWN, container_id=_qualified(latest.id))
        )
    return status


def _problem(around: Surroundings, name: str) -> Waiting | None:
    problem = around.memory.problems.get(name)
    return Waiting(problem.reason, problem.message) if problem is not None else None


def _without_record(
    pod: Pod, status: ContainerStatus, old: ContainerStatus | None, around: Surroundings, initializing: bool
) -> ContainerStatus:
    """The status of a container that the runtime does not have (yet, or any more)."""
    if old is not None and old.state.HasField("terminated"):
        status.CopyFrom(old)
        status.ready = False
        return status
    if old is not None and old.state.HasField("running"):
        # It ran, and the runtime has forgotten it: how it ended is not known.
        status.restart_count = old.restart_count
        status.container_id = old.container_id
        status.image_id = old.image_id
        lost = ContainerState()
        lost.terminated.exit_code = EXIT_UNKNOWN
        lost.terminated.reason = STATUS_UNKNOWN
        lost.terminated.message = "The container could not be located when the pod was terminated"
        lost.terminated.container_id = old.container_id
        if around.going or pod.status.phase in phase.TERMINAL:
            status.state.CopyFrom(lost)
            return status
        status.last_state.CopyFrom(lost)
    elif old is not None:
        status.restart_count = old.restart_count
        status.last_state.CopyFrom(old.last_state)
        if not old.HasField("last_state"):
            status.ClearField("last_state")
    waits = around.waiting.get(status.name) or _problem(around, status.name)
    waits = waits or Waiting(INITIALIZING if initializing and pod.spec.init_containers else CREATING)
    status.state.waiting.CopyFrom(ContainerStateWaiting(reason=waits.reason, message=waits.message))
    return status


def _set_conditions(status: PodStatus, pod: Pod, runtime: PodRuntime, initialized: bool, now: datetime) -> None:
    ended = status.phase in phase.TERMINAL
    unready = [each.name for each in status.container_statuses if not each.ready]
    unready += [
        each.name
        for each, spec in zip(status.init_container_statuses, pod.spec.init_containers, strict=True)
        if is_sidecar(spec) and not each.ready
    ]
    if ended:
        containers = ("False", "PodCompleted" if status.phase == phase.SUCCEEDED else "PodFailed", "")
    elif unready:
        containers = ("False", "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    else:
        containers = ("True", "", "")
    gates = [
        gate.condition_type
        for gate in pod.spec.readiness_gates
        if not any(each.type == gate.condition_type and each.status == "True" for each in pod.status.conditions)
    ]
    ready = containers
    if containers[0] == "True" and gates:
        ready = ("False", "ReadinessGatesNotReady", f"corresponding condition of pod readiness gates {gates} not true")
    if initialized or status.phase == phase.SUCCEEDED:
        init = ("True", "PodCompleted" if status.phase == phase.SUCCEEDED else "", "")
    else:
        missing = [
            each.name
            for each in status.init_container_statuses
            if not each.ready and not (each.started and each.state.HasField("running"))
        ]
        init = ("False", "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(missing)}]")
    has_sandbox = runtime.sandbox is not None
    ours = {
        "PodReadyToStartContainers": ("True" if has_sandbox else "False", "", ""),
        "Initialized": init,
        "Ready": ready,
        "ContainersReady": containers,
    }
    before = {each.type: each for each in pod.status.conditions}
    for kind, (value, reason, message) in ours.items():
        condition = PodCondition(
            type=kind, status=value, reason=reason, message=message, observed_generation=pod.metadata.generation
        )
        old = before.get(kind)
        if old is not None and old.status == value and old.HasField("last_transition_time"):
            condition.last_transition_time.CopyFrom(old.last_transition_time)
        else:
            condition.last_transition_time.CopyFrom(to_timestamp(now, whole_seconds=True))
        status.conditions.append(condition)
    status.conditions.extend(each for each in pod.status.conditions if each.type not in ours)
    if "PodScheduled" not in before:
        scheduled = PodCondition(type="PodScheduled", status="True", observed_generation=pod.metadata.generation)
        scheduled.last_transition_time.CopyFrom(to_timestamp(now, whole_seconds=True))
        status.conditions.append(scheduled)


OURS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


def rebase(status: PodStatus, fresh: PodStatus) -> PodStatus:
    """The same status with the conditions of others as they are in `fresh`."""
    result = PodStatus()
    result.CopyFrom(status)
    kept = [each for each in status.conditions if each.type in OURS]
    others = [each for each in fresh.conditions if each.type not in OURS]
    if not any(each.type == "PodScheduled" for each in others):
        others += [each for each in status.conditions if each.type == "PodScheduled"]
    del result.conditions[:]
    result.conditions.extend([*kept, *others])
    return result


def same(one: PodStatus, other: PodStatus) -> bool:
    """Whether nothing is to be written: equal but for the order of conditions."""
    left, right = PodStatus(), PodStatus()
    left.CopyFrom(one)
    right.CopyFrom(other)
    for each in (left, right):
        ordered = sorted(each.conditions, key=lambda condition: condition.type)
        kept = [PodCondition.FromString(condition.SerializeToString()) for condition in ordered]
        del each.conditions[:]
        each.conditions.extend(kept)
    return left == right
