"""What to do next for a pod: `plan(desired, runtime, memory, now) -> Plan`.

The plan is made anew from what is whenever anything changed, so it never depends on how it came about. It is the
nodeagent's counterpart of what Kubernetes calls computing pod actions, and keeps its rules:

- a pod needs one ready sandbox; when it is lost, everything in it starts over in a new one, init containers too;
- init containers run in order, each to its end; those with restartPolicy Always stay and only have to have started;
- containers that ended start again as the restart policy says, later each time (`pod.backoff`);
- a pod that ended is not started again; its sandbox is stopped, and its dead containers stay for their logs;
- a pod that is to go is stopped (sidecars last), then removed from the runtime, then from the apiserver.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from steersman.core.v1.container_pb2 import Container
from steersman.core.v1.pod_pb2 import Pod

from nodeagent.pod import labels, phase, probes
from nodeagent.pod.backoff import CrashBackoff
from nodeagent.pod.probes import Health
from nodeagent.pod.resources import is_sidecar
from nodeagent.pod.restarts import restarts
from nodeagent.pod.state import ContainerRecord, Life, PodRuntime, SandboxRecord

CRASH_LOOP = "CrashLoopBackOff"
PULL_FAILED = "ErrImagePull"
PULL_BACKOFF = "ImagePullBackOff"
PULL_FAILED_SHOWN_S = 2
DEFAULT_GRACE_S = 30
# How long a pod of which nothing is known any more gets to stop.
ORPHAN_GRACE_S = 2


class Going(enum.Enum):
    """Why a pod must not run (any longer)."""

    DELETED = "deleted"
    """The apiserver has it marked as being deleted; the agent does the final delete."""
    GONE = "gone"
    """The apiserver does not have it any more."""
    ENDED = "ended"
    """It failed or succeeded for good, or was evicted; its object stays."""


@dataclass(frozen=True)
class Desired:
    """What is wanted of a pod.

    Attributes:
        pod: as the apiserver has it; None for one that only the runtime knows.
        going: why it must stop; None when it is to run.
        grace_s: seconds it gets to stop in; meaningful when it is going.
    """

    pod: Pod | None
    going: Going | None = None
    grace_s: int = DEFAULT_GRACE_S


@dataclass(frozen=True)
class Memory:
    """What the worker remembers between plans.

    Attributes:
        backoffs: by container name.
        health: by container id, of running containers.
        launching: a sandbox or containers are being started right now.
        stopping: ids of containers that are being stopped right now.
        problems: by container name: why its last start failed, and when to try again.
    """

    backoffs: Mapping[str, CrashBackoff] = field(default_factory=dict)
    health: Mapping[str, Health] = field(default_factory=dict)
    launching: bool = False
    stopping: frozenset[str] = frozenset()
    problems: Mapping[str, Problem] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """Why a container could not be started.

    Attributes:
        reason: for the status: "ErrImagePull", "CreateContainerConfigError", ...
        message: for people.
        since: when it failed.
        retry_at: when to try again.
    """

    reason: str
    message: str
    since: datetime
    retry_at: datetime


@dataclass(frozen=True)
class Waiting:
    """Why a container does not run just now, for the status."""

    reason: str
    message: str = ""


@dataclass(frozen=True)
class CreateSandbox:
    """Make the pod's volumes and a sandbox."""

    attempt: int


@dataclass(frozen=True)
class StartContainer:
    """Fetch the image if need be, make the container and start it; one that was made but never started goes first.

    Attributes:
        name: of the container.
        attempt: its restart count.
        after: end of its predecessor, which the delay of the next restart counts from; None for a first start.
    """

    name: str
    attempt: int
    after: datetime | None = None


@dataclass(frozen=True)
class StopContainer:
    """Run the preStop hook, ask the container to end, kill it after the grace period.

    Attributes:
        id: the runtime's id.
        name: of the container.
        grace_s: seconds to end in, the hook's included.
        why: for the event.
    """

    id: str
    name: str
    grace_s: int
    why: str


@dataclass(frozen=True)
class RemoveContainer:
    """Remove a dead container, with its log."""

    id: str
    name: str


@dataclass(frozen=True)
class StopSandbox:
    """End the sandbox and give its address back."""

    id: str


@dataclass(frozen=True)
class RemoveSandbox:
    """Remove a stopped sandbox and its containers."""

    id: str


@dataclass(frozen=True)
class CleanUp:
    """Take away volumes, cgroups and folders of the pod."""


@dataclass(frozen=True)
class DeleteObject:
    """Delete the pod from the apiserver for good."""


Action = (
    CreateSandbox
    | StartContainer
    | StopContainer
    | RemoveContainer
    | StopSandbox
    | RemoveSandbox
    | CleanUp
    | DeleteObject
)


@dataclass(frozen=True)
class Plan:
    """What to do now.

    Attributes:
        actions: in order. Starts are carried out one after the other, stops at the same time.
        wake_at: when to plan again if nothing happens until then.
        waiting: by container name: why it waits.
    """

    actions: tuple[Action, ...] = ()
    wake_at: datetime | None = None
    waiting: Mapping[str, Waiting] = field(default_factory=dict)


def grace_of(pod: Pod) -> int:
    """Seconds that the pod gives its containers to stop."""
    if pod.spec.HasField("termination_grace_period_seconds"):
        return pod.spec.termination_grace_period_seconds
    return DEFAULT_GRACE_S


def desired_of(pod: Pod, runtime: PodRuntime, now: datetime, *, evicted: bool = False) -> Desired:
    """Whether a pod of the apiserver is to run, and if not, why."""
    if pod.metadata.HasField("deletion_timestamp"):
        grace_s = grace_of(pod)
        if pod.metadata.HasField("deletion_grace_period_seconds"):
            grace_s = pod.metadata.deletion_grace_period_seconds
        return Desired(pod, Going.DELETED, max(1, grace_s))
    if evicted or pod.status.phase in phase.TERMINAL or phase.of(pod, runtime) in phase.TERMINAL:
        return Desired(pod, Going.ENDED, grace_of(pod))
    deadline = phase.active_deadline(pod)
    if deadline is not None and now >= deadline:
        return Desired(pod, Going.ENDED, grace_of(pod))
    return Desired(pod)


def plan(desired: Desired, runtime: PodRuntime, memory: Memory, now: datetime) -> Plan:
    """What to do next for the pod; see the module's documentation for the rules."""
    if desired.going is not None or desired.pod is None:
        return _plan_going(desired, runtime, memory)
    pod = desired.pod
    sandbox = runtime.sandbox
    if sandbox is None or sandbox.host_network != pod.spec.host_network:
        return Plan() if memory.launching else _plan_sandbox(pod, runtime, memory, now)
    actions: list[Action] = list(_stops_of_unwell(pod, runtime, memory))
    starts = _Starts(pod, runtime, memory, now)
    starts.decide()
    if memory.launching:
        # Starting may take long (images); meanwhile only what must not wait is done.
        return Plan(tuple(actions), waiting=starts.waiting)
    actions += _stops_of_strangers(pod, runtime, memory)
    actions += starts.actions
    actions += _garbage(pod, runtime)
    deadline = phase.active_deadline(pod)
    wakes = [moment for moment in (*starts.wakes, deadline) if moment is not None]
    return Plan(tuple(actions), min(wakes, default=None), starts.waiting)


def _plan_sandbox(pod: Pod, runtime: PodRuntime, memory: Memory, now: datetime) -> Plan:
    """The sandbox is missing or lost: end what still runs in old ones, then make a new one."""
    if runtime.alive:
        why = "Pod sandbox changed, it will be killed and re-created."
        stops = _stops(runtime.alive, grace_of(pod), why, memory)
        return Plan(tuple(stops))
    ready = [each for each in runtime.sandboxes if each.ready]
    if ready:
        return Plan(tuple(StopSandbox(each.id) for each in ready))
    problem = memory.problems.get("")
    if problem is not None and problem.retry_at > now:
        return Plan(wake_at=problem.retry_at)
    attempt = runtime.sandboxes[0].attempt + 1 if runtime.sandboxes else 0
    return Plan((CreateSandbox(attempt),))


def _stops(containers: Iterable[ContainerRecord], grace_s: int, why: str, memory: Memory) -> list[Action]:
    return [StopContainer(each.id, each.name, grace_s, why) for each in containers if each.id not in memory.stopping]


def _stops_of_unwell(pod: Pod, runtime: PodRuntime, memory: Memory) -> tuple[Action, ...]:
    """Containers that failed a probe, were made from another specification, or of which nobody knows what they do."""
    actions: list[Action] = []
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        record = runtime.latest(container.name)
        if record is None or not record.alive or record.id in memory.stopping:
            continue
        if record.life is Life.UNKNOWN:
            why = f"Container {container.name} is in an unknown state, will be restarted"
            actions.append(StopContainer(record.id, record.name, grace_of(pod), why))
            continue
        health = memory.health.get(record.id)
        if record.spec_hash and record.spec_hash != labels.container_hash(container):
            why = f"Container {container.name} definition changed, will be restarted"
            actions.append(StopContainer(record.id, record.name, grace_of(pod), why))
        elif health is not None and health.failed is not None:
            why = f"Container {container.name} failed {health.failed.value.lower()} probe, will be restarted"
            grace_s = probes.restart_grace_s(container, health.failed, grace_of(pod))
            actions.append(StopContainer(record.id, record.name, grace_s, why))
    return tuple(actions)


def _stops_of_strangers(pod: Pod, runtime: PodRuntime, memory: Memory) -> list[Action]:
    """Running containers that the pod does not have, and second ones of a name."""
    names = {each.name for each in (*pod.spec.init_containers, *pod.spec.containers, *ephemeral(pod))}
    latest = {record.id for name in names if (record := runtime.latest(name)) is not None}
    strangers = [each for each in runtime.alive if each.id not in latest]
    return _stops(strangers, grace_of(pod), "Container is not part of the pod", memory)


def ephemeral(pod: Pod) -> list[Container]:
    """The pod's ephemeral containers, in the form of ordinary ones."""
    result = []
    for each in pod.spec.ephemeral_containers:
        container = Container()
        container.ParseFromString(each.ephemeral_container_common.SerializeToString())
        result.append(container)
    return result


class _Starts:
    """Which containers to start now, and why the others wait."""

    def __init__(self, pod: Pod, runtime: PodRuntime, memory: Memory, now: datetime) -> None:
        self.pod = pod
        self.runtime = runtime
        self.memory = memory
        self.now = now
        self.actions: list[Action] = []
        self.waiting: dict[str, Waiting] = {}
        self.wakes: list[datetime] = []

    def decide(self) -> None:
        """Goes through init containers in order, then through the others."""
        initialized = phase.initialized(self.pod, self.runtime)
        for container in self.pod.spec.init_containers:
            if is_sidecar(container):
                self._keep_running(container)
                if not initialized and not self._has_started(container):
                    return
            elif not initialized and not self._has_completed(container):
                return
        for container in self.pod.spec.containers:
            self._keep_running(container)
        for container in ephemeral(self.pod):
            if self.runtime.latest(container.name) is None:
                self._start(container, None)

    def _has_started(self, container: Container) -> bool:
        record = self.runtime.latest_here(container.name)
        if record is None or record.life is not Life.RUNNING:
            return False
        health = self.memory.health.get(record.id)
        return health is not None and health.started

    def _has_completed(self, container: Container) -> bool:
        """Whether an init container has ended well; starts it when it must (still) run."""
        record = self.runtime.latest_here(container.name)
        if record is None or record.life is Life.CREATED:
            self._start(container, self.runtime.latest(container.name))
            return False
        if record.life is not Life.EXITED:
            return False
        if record.exit_code == 0:
            return True
        if restarts(self.pod, container, record.exit_code, init=True):
            self._start(container, record)
        return False

    def _keep_running(self, container: Container) -> None:
        record = self.runtime.latest(container.name)
        ended = record is not None and record.life is Life.EXITED
        if record is None or record.life is Life.CREATED or (ended and restarts(self.pod, container, record.exit_code)):
            self._start(container, record)

    def _start(self, container: Container, last: ContainerRecord | None) -> None:
        name = container.name
        problem = self.memory.problems.get(name)
        if problem is not None and problem.retry_at > self.now:
            self._wait_for(name, problem)
            return
        if last is None:
            self.actions.append(StartContainer(name, _attempt_of_status(self.pod, name)))
            return
        if last.life is Life.CREATED:
            # Made by an agent that was killed before it could start it; whoever starts it anew removes it first.
            self.actions.append(StartContainer(name, last.attempt))
            return
        finished_at = last.finished_at or last.created_at
        entry = self.memory.backoffs.get(name)
        if entry is not None and entry.hold_until(finished_at) > self.now:
            delay = timedelta(seconds=entry.delay_s)
            self.waiting[name] = Waiting(
                CRASH_LOOP,
                f"back-off {_duration(delay)} restarting failed container={name} "
                f"pod={self.pod.metadata.name}_{self.pod.metadata.namespace}({self.pod.metadata.uid})",
            )
            self.wakes.append(entry.hold_until(finished_at))
            return
        self.actions.append(StartContainer(name, last.attempt + 1, finished_at))

    def _wait_for(self, name: str, problem: Problem) -> None:
        reason, message = problem.reason, problem.message
        self.wakes.append(problem.retry_at)
        if reason == PULL_FAILED:
            # The failure is shown first, then that the next try is being waited for.
            backs_off_at = problem.since + timedelta(seconds=PULL_FAILED_SHOWN_S)
            if self.now >= backs_off_at:
                reason, message = PULL_BACKOFF, f"Back-off pulling image: {message}"
            else:
                self.wakes.append(backs_off_at)
        self.waiting[name] = Waiting(reason, message)


def _duration(delay: timedelta) -> str:
    seconds = int(delay.total_seconds())
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _attempt_of_status(pod: Pod, name: str) -> int:
    """The restart count of a container that the runtime has forgotten: one more than the status tells."""
    for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        if status.name == name and status.container_id:
            return status.restart_count + 1
    return 0


def _garbage(pod: Pod, runtime: PodRuntime) -> list[Action]:
    """Dead containers but the newest one and the one before it, and old sandboxes that nothing is kept of."""
    actions: list[Action] = []
    kept_sandboxes = {runtime.sandboxes[0].id} if runtime.sandboxes else set()
    seen: dict[str, int] = {}
    for record in runtime.containers:
        rank = seen[record.name] = seen.get(record.name, -1) + 1
        if rank >= 2 and not record.alive:
            actions.append(RemoveContainer(record.id, record.name))
        else:
            kept_sandboxes.add(record.sandbox_id)
    actions += [RemoveSandbox(each.id) for each in runtime.sandboxes[1:] if each.id not in kept_sandboxes]
    return actions


def _plan_going(desired: Desired, runtime: PodRuntime, memory: Memory) -> Plan:
    """The pod is to end: stop containers, then sandboxes; unless its object stays, remove everything."""
    pod = desired.pod
    if memory.launching:
        return Plan()
    if runtime.alive:
        sidecars = {each.name for each in pod.spec.init_containers if is_sidecar(each)} if pod is not None else set()
        main = [each for each in runtime.alive if each.name not in sidecars]
        if not main and pod is not None:
            # Sidecars end in the reverse of their order, one after the other.
            order = [each.name for each in pod.spec.init_containers]
            main = sorted(runtime.alive, key=lambda each: order.index(each.name))[-1:]
        return Plan(tuple(_stops(main, _grace(desired, main), "Stopping container", memory)))
    ready = [each for each in runtime.sandboxes if each.ready]
    if ready:
        return Plan(tuple(StopSandbox(each.id) for each in ready))
    if desired.going is Going.ENDED:
        return Plan()
    actions: list[Action] = [RemoveSandbox(each.id) for each in _oldest_first(runtime.sandboxes)]
    known = {each.id for each in runtime.sandboxes}
    actions += [RemoveContainer(each.id, each.name) for each in runtime.containers if each.sandbox_id not in known]
    actions.append(CleanUp())
    if desired.going is Going.DELETED:
        actions.append(DeleteObject())
    return Plan(tuple(actions))


def _oldest_first(sandboxes: tuple[SandboxRecord, ...]) -> Iterable[SandboxRecord]:
    return reversed(sandboxes)


def _grace(desired: Desired, containers: Iterable[ContainerRecord]) -> int:
    if desired.pod is not None:
        return desired.grace_s
    return min([ORPHAN_GRACE_S, *(each.grace_s for each in containers)])
