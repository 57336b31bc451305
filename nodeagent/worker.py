"""One pod's worker: looks, plans, acts, reports; again whenever something happened.

Everything about a pod happens here in order. What takes long (starting containers, stopping them) runs beside the
worker as tasks of its own, which the plan knows of, so that the worker stays able to see a deletion or a change.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from steersman.client import Api
from steersman.clock import Clock
from steersman.core.v1.container_pb2 import Container
from steersman.core.v1.pod_pb2 import Pod
from steersman.errors import ApiError, Conflict, NotFound
from steersman.events import Recorder
from steersman.retry import Backoff

from nodeagent.config import AgentConfig
from nodeagent.cri.runtime import PodIdentity, Runtime
from nodeagent.errors import ImageError, RuntimeFailedError, StartError, VolumeError
from nodeagent.executor import Executor
from nodeagent.handlers import Handlers
from nodeagent.metrics import Metrics
from nodeagent.objects import ReferencedObjects
from nodeagent.pod import backoff, phase, plan
from nodeagent.pod import status as pod_status
from nodeagent.pod.backoff import CrashBackoff
from nodeagent.pod.errors import PodConfigError
from nodeagent.pod.plan import Desired, Going, Memory, Plan, Problem
from nodeagent.pod.probes import Health
from nodeagent.pod.state import ContainerRecord, Life, PodRuntime
from nodeagent.pod.status import Surroundings, Verdict
from nodeagent.prober import Probed, Prober
from nodeagent.publisher import StatusPublisher

log = structlog.get_logger(__name__)

# How long the runtime may take to show an end that it has announced.
SETTLE_S = 1.0
CONFIG_RETRY_S = 5.0
SANDBOX_RETRY_S = 2.0
BUSY_RETRY_S = 0.3
SANDBOX_RETRY_MAX_S = 30.0

_SLOW = (plan.CreateSandbox, plan.StartContainer)


@dataclass(frozen=True)
class WorkerTools:
    """What all workers of an agent share."""

    config: AgentConfig
    api: Api
    runtime: Runtime
    executor: Executor
    handlers: Handlers
    objects: ReferencedObjects
    recorder: Recorder
    clock: Clock
    metrics: Metrics


class PodWorker:
    """The worker of one pod; `run()` returns when nothing of the pod is left on the node."""

    def __init__(
        self,
        identity: PodIdentity,
        tools: WorkerTools,
        on_seen: Callable[[str, list[str]], None],
        admit: Callable[[Pod], Verdict | None],
    ) -> None:
        """Makes a worker.

        Args:
            identity: which pod.
            tools: what all workers share.
            on_seen: told the ids of the pod's sandboxes and containers whenever the worker looked.
            admit: says why a pod that comes does not fit; None when it does.
        """
        self.identity = identity
        self.runtime = PodRuntime()
        """The pod in the runtime, as last seen."""
        self._tools = tools
        self._on_seen = on_seen
        self._admit = admit
        self.admitted = False
        """Whether the pod counts among those that use the node."""
        self._pod: Pod | None = None
        self._gone = False
        self._known_to_api = False
        self._wake = asyncio.Event()
        self._ended: set[str] = set()
        self._refresh = False
        self._publisher = StatusPublisher(tools.api, tools.clock, tools.metrics)
        self._prober = Prober(tools.handlers, tools.recorder, tools.clock, self.wake)
        self._launch: asyncio.Task[None] | None = None
        self._hooking: set[str] = set()
        self._stops: dict[str, tuple[asyncio.Task[None], float]] = {}
        self._backoffs: dict[str, CrashBackoff] = {}
        self._pull_backoffs: dict[str, CrashBackoff] = {}
        self._problems: dict[str, Problem] = {}
        self._waiting: set[str] = set()
        self._verdict: Verdict | None = None
        self._began = tools.clock.monotonic()
        self._all_ran = False
        self._log = log.bind(pod=f"{identity.namespace}/{identity.name}", uid=identity.uid)

    @property
    def pod(self) -> Pod | None:
        """The pod as last seen; None when only the runtime knows it."""
        return self._pod

    @property
    def failed(self) -> bool:
        """Whether the agent has ended the pod for good."""
        return self._verdict is not None

    def update(self, pod: Pod) -> None:
        """The apiserver has this version of the pod."""
        self._known_to_api = True
        newest = self._publisher.saw(pod)
        changed = self._pod is None or self._pod.metadata.generation != newest.metadata.generation
        before, self._pod = self._pod, newest
        if changed:
            self._tools.objects.follow(pod)
            self._problems.clear()
        # Labels and annotations may be files of a downward API volume.
        self._refresh = self._refresh or before is None or _words(before) != _words(newest)
        self.wake()

    def vanish(self) -> None:
        """The apiserver does not have the pod any more."""
        self._gone = True
        self.wake()

    def ended(self, container_id: str) -> None:
        """The runtime has announced that a container or sandbox of this pod ended."""
        self._ended.add(container_id)
        self.wake()

    def objects_changed(self) -> None:
        """A ConfigMap, a Secret or a Service that the pod refers to changed."""
        self._refresh = True
        for name in [name for name, each in self._problems.items() if each.reason == "CreateContainerConfigError"]:
            del self._problems[name]
        self._problems.pop("", None)
        self.wake()

    def wake(self) -> None:
        """Something happened; look again."""
        self._wake.set()

    async def run(self) -> None:
        """Works until nothing of the pod is left, or until cancelled; a cancelled worker leaves containers running."""
        retry = Backoff(base_s=0.1, limit_s=10.0)
        try:
            while True:
                self._wake.clear()
                wait_s = self._tools.config.sync_s
                try:
                    wake_at = await self._step()
                    if wake_at is _FINISHED:
                        return
                    retry.reset()
                    if isinstance(wake_at, datetime):
                        wait_s = min(wait_s, (wake_at - self._tools.clock.now()).total_seconds())
                except (RuntimeFailedError, ApiError, VolumeError, OSError) as error:
                    self._log.warning("pod not carried out", error=str(error))
                    wait_s = retry.next_s()
                await self._sleep(wait_s)
        finally:
            self._prober.close()
            self._publisher.close()
            for task in [self._launch, *(task for task, _ in self._stops.values())]:
                if task is not None:
                    task.cancel()

    async def _sleep(self, seconds: float) -> None:
        """Returns when woken, or after so many seconds."""
        if seconds <= 0 or self._wake.is_set():
            await asyncio.sleep(0)
            return
        timer = asyncio.create_task(self._tools.clock.sleep(seconds))
        waiter = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait((timer, waiter), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            waiter.cancel()

    async def _step(self) -> datetime | _Finished | None:
        """Looks, plans, acts and reports once; returns when to look again."""
        now = self._tools.clock.now()
        with self._tools.metrics.plan_s.time():
            self.runtime = await self._observe()
            self._forget_the_dead()
            desired = self._desired(now)
            if desired.going is not None and self._launch is not None:
                await self._abandon_launch()
                self.runtime = await self._observe()
            self._probe_the_living()
            memory = self._memory(desired)
            planned = plan.plan(desired, self.runtime, memory, now)
        final = any(isinstance(each, plan.DeleteObject) for each in planned.actions)
        self._dispatch(planned)
        self._report(desired, planned, now)
        if final:
            # The last status must be there before its object goes.
            await self._publisher.flush()
        acted = await self._act(planned)
        if acted is _FINISHED:
            return _FINISHED
        if self._refresh and self._pod is not None and desired.going is None:
            self._refresh = False
            await self._tools.executor.refresh_volumes(self._pod, self.runtime)
        if acted:
            self.wake()
        elif desired.going is Going.ENDED and not planned.actions:
            # What has ended refers to nothing any more.
            self._tools.objects.forget(self.identity.uid)
        return planned.wake_at

    async def _observe(self) -> PodRuntime:
        """Looks at the runtime; where an end was announced, until the runtime shows it."""
        announced, self._ended = self._ended, set()
        deadline = self._tools.clock.monotonic() + SETTLE_S
        pause_s = 0.002
        while True:
            seen = await self._tools.runtime.observe(self.identity.uid)
            alive = {each.id for each in seen.alive} | {each.id for each in seen.sandboxes if each.ready}
            if not announced & alive or self._tools.clock.monotonic() >= deadline:
                break
            await self._tools.clock.sleep(pause_s)
            pause_s = min(0.1, pause_s * 2)
        ids = [each.id for each in seen.sandboxes] + [each.id for each in seen.containers]
        self._on_seen(self.identity.uid, ids)
        return seen

    def _desired(self, now: datetime) -> Desired:
        if self._gone or self._publisher.gone or not self._known_to_api:
            grace_s = plan.ORPHAN_GRACE_S
            if self._pod is not None and self._pod.metadata.HasField("deletion_grace_period_seconds"):
                grace_s = max(1, self._pod.metadata.deletion_grace_period_seconds)
            return Desired(self._pod, Going.GONE, grace_s)
        assert self._pod is not None
        if not self.admitted:
            self._consider(self._pod)
        deadline = phase.active_deadline(self._pod)
        live = self._pod.status.phase not in phase.TERMINAL
        if self._verdict is None and live and deadline is not None and now >= deadline:
            message = "Pod was active on the node longer than the specified deadline"
            self._verdict = Verdict("DeadlineExceeded", message)
            self._tools.recorder.event(self._pod, "Normal", "DeadlineExceeded", message)
        return plan.desired_of(self._pod, self.runtime, now, evicted=self._verdict is not None)

    def _consider(self, pod: Pod) -> None:
        """Admits the pod, or fails it; one that has begun, or is going anyway, was admitted before."""
        begun = pod.status.HasField("start_time") or not self.runtime.empty
        if not begun and not pod.metadata.HasField("deletion_timestamp"):
            self._verdict = self._admit(pod)
            if self._verdict is not None:
                self._tools.recorder.event(pod, "Warning", self._verdict.reason, self._verdict.message)
        self.admitted = True

    def _memory(self, desired: Desired) -> Memory:
        """The worker's memory as the plan may see it; a stop that is now to be faster does not count as under way."""
        now = self._tools.clock.monotonic()
        slow = {
            container_id
            for container_id, (_, deadline) in self._stops.items()
            if desired.going is not None and deadline > now + desired.grace_s + 1
        }
        return Memory(
            backoffs=self._backoffs,
            health=self._prober.health,
            launching=self._launch is not None,
            stopping=frozenset(self._stops.keys() - slow),
            problems=self._problems,
        )

    def _forget_the_dead(self) -> None:
        living = {each.id for each in self.runtime.containers if each.life is Life.RUNNING}
        for container_id in self._prober.health.keys() - living:
            self._prober.end(container_id)

    def _containers(self) -> list[Container]:
        return [*self._pod.spec.init_containers, *self._pod.spec.containers] if self._pod is not None else []

    def _probe_the_living(self) -> None:
        """Begins to probe running containers; those of before this agent's start keep the health they had."""
        if self._pod is None:
            return
        for container in self._containers():
            record = self.runtime.latest(container.name)
            if record is None or record.life is not Life.RUNNING or container.name in self._hooking:
                continue
            if record.id in self._stops or record.id in self._prober.health:
                continue
            target = self._tools.executor.target(self._pod, container, record.id, self.runtime)
            probed = Probed(self._pod, target, record.started_at or record.created_at)
            self._prober.begin(probed, self._known_health(record))
        if not self._all_ran and self._pod.spec.containers:
            records = [self.runtime.latest(each.name) for each in self._pod.spec.containers]
            if all(each is not None and each.life is Life.RUNNING for each in records):
                self._all_ran = True
                self._tools.metrics.pod_start_s.observe(self._tools.clock.monotonic() - self._began)

    def _known_health(self, record: ContainerRecord) -> Health | None:
        """Health that the pod's status gives a container, if it is about this very one."""
        if self._pod is None:
            return None
        for each in (*self._pod.status.init_container_statuses, *self._pod.status.container_statuses):
            if each.container_id.endswith(record.id) and each.started:
                return Health(started=each.started, ready=each.ready)
        return None

    def _dispatch(self, planned: Plan) -> None:
        """Begins what takes long: starts one after the other in one task, stops each in a task of its own."""
        launches = [each for each in planned.actions if isinstance(each, _SLOW)]
        starting = {each.name for each in launches if isinstance(each, plan.StartContainer)}
        before = [each for each in planned.actions if isinstance(each, plan.RemoveContainer) and each.name in starting]
        fresh = [each for each in before if self._is_created(each.id)]
        if launches and self._launch is None and self._pod is not None:
            self._hooking = set(starting)
            self._launch = asyncio.create_task(
                self._run_launch(self._pod, [*fresh, *launches]), name=f"launch {self.identity.name}"
            )
            self._launch.add_done_callback(self._launch_done)
        for each in planned.actions:
            if isinstance(each, plan.StopContainer):
                self._begin_stop(each)

    def _is_created(self, container_id: str) -> bool:
        return any(each.id == container_id and each.life is Life.CREATED for each in self.runtime.containers)

    def _begin_stop(self, action: plan.StopContainer) -> None:
        running = self._stops.pop(action.id, None)
        if running is not None:
            running[0].cancel()
        deadline = self._tools.clock.monotonic() + action.grace_s
        task = asyncio.create_task(self._run_stop(action), name=f"stop {action.name} of {self.identity.name}")
        self._stops[action.id] = (task, deadline)
        self._prober.pause(action.id)

        def done(finished: asyncio.Task[None]) -> None:
            if self._stops.get(action.id, (None,))[0] is finished:
                del self._stops[action.id]
            self.wake()

        task.add_done_callback(done)

    async def _run_stop(self, action: plan.StopContainer) -> None:
        self._log.info("stopping container", container=action.name, why=action.why, grace_s=action.grace_s)
        with self._tools.metrics.execute_s.labels("StopContainer").time():
            try:
                await self._tools.executor.stop_container(self._pod, action, self.runtime)
            except RuntimeFailedError as error:
                self._log.warning("container not stopped", container=action.name, error=error.message)
                # Do not ask again at once.
                await self._tools.clock.sleep(1.0)

    def _launch_done(self, task: asyncio.Task[None]) -> None:
        if self._launch is task:
            self._launch = None
            self._hooking = set()
        if not task.cancelled() and task.exception() is not None:
            self._log.error("launch failed", exc_info=task.exception())
        self.wake()

    async def _abandon_launch(self) -> None:
        launch = self._launch
        if launch is None:
            return
        launch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await launch
        self._launch = None
        self._hooking = set()

    async def _run_launch(self, pod: Pod, actions: list[plan.Action]) -> None:
        """Carries out starts in order; a container that fails does not hold up the next, a sandbox that fails does."""
        for action in actions:
            kind = type(action).__name__
            with self._tools.metrics.execute_s.labels(kind).time():
                if isinstance(action, plan.CreateSandbox):
                    if not await self._create_sandbox(pod, action):
                        return
                elif isinstance(action, plan.RemoveContainer):
                    with contextlib.suppress(RuntimeFailedError):
                        await self._tools.executor.remove_container(self.identity, self.runtime, action.id)
                elif isinstance(action, plan.StartContainer):
                    await self._start_container(pod, action)
                    self._hooking.discard(action.name)
                    self.wake()

    async def _create_sandbox(self, pod: Pod, action: plan.CreateSandbox) -> bool:
        now = self._tools.clock.now()
        try:
            await self._tools.executor.create_sandbox(pod, action.attempt)
        except (PodConfigError, VolumeError) as error:
            self._failed("", "FailedMount", f"MountVolume.SetUp failed: {error}", now)
        except RuntimeFailedError as error:
            if error.still_busy:
                # The call of an agent that was killed is still being carried out.
                retry_at = now + timedelta(seconds=BUSY_RETRY_S)
                self._problems[""] = Problem("Busy", error.message, now, retry_at)
                return False
            message = f"Failed to create pod sandbox: {error.message}"
            self._failed("", "FailedCreatePodSandBox", message, now)
        else:
            self._problems.pop("", None)
            self._pull_backoffs.pop("", None)
            return True
        return False

    def _failed(self, name: str, reason: str, message: str, now: datetime) -> None:
        """Notes why the sandbox could not be made, and when to try again."""
        entry = backoff.after_start(self._pull_backoffs.get(name), now, None, base_s=SANDBOX_RETRY_S)
        self._pull_backoffs[name] = entry
        delay_s = min(entry.delay_s, SANDBOX_RETRY_MAX_S)
        self._problems[name] = Problem(reason, message, now, now + timedelta(seconds=delay_s))
        self._log.warning("sandbox not made", reason=reason, error=message)
        if self._pod is not None:
            self._tools.recorder.event(self._pod, "Warning", reason, message)

    async def _start_container(self, pod: Pod, action: plan.StartContainer) -> None:
        container = next((each for each in self._every_container(pod) if each.name == action.name), None)
        sandbox = self.runtime.sandbox
        if container is None or sandbox is None:
            return
        now = self._tools.clock.now()
        if action.after is not None:
            self._backoffs[action.name] = backoff.after_start(
                self._backoffs.get(action.name), now, action.after, base_s=self._tools.config.crash_backoff_base_s
            )
            self._tools.metrics.restarts.inc()
        self._problems.pop(action.name, None)
        try:
            await self._tools.executor.start_container(
                pod, container, action.attempt, sandbox, target_id=self._target_of(pod, container.name)
            )
        except ImageError as error:
            entry = backoff.after_start(self._pull_backoffs.get(action.name), now, None)
            self._pull_backoffs[action.name] = entry
            retry_at = self._tools.clock.now() + timedelta(seconds=entry.delay_s)
            self._problems[action.name] = Problem(error.reason, error.message, self._tools.clock.now(), retry_at)
        except (PodConfigError, VolumeError) as error:
            retry_at = now + timedelta(seconds=CONFIG_RETRY_S)
            self._problems[action.name] = Problem("CreateContainerConfigError", str(error), now, retry_at)
        except StartError as error:
            # What was made has ended, and waits as any container that ended; what was not made is tried again later.
            delay_s = CONFIG_RETRY_S if error.reason == "CreateContainerError" else 0.0
            retry_at = now + timedelta(seconds=BUSY_RETRY_S if error.still_busy else delay_s)
            self._problems[action.name] = Problem(error.reason, error.message, now, retry_at)
        except RuntimeFailedError as error:
            retry_at = now + timedelta(seconds=1)
            self._problems[action.name] = Problem("CreateContainerError", error.message, now, retry_at)
        else:
            self._pull_backoffs.pop(action.name, None)

    def _target_of(self, pod: Pod, name: str) -> str:
        """Id of the container that an ephemeral one is to look into; "" when it is none, or names none that runs."""
        for each in pod.spec.ephemeral_containers:
            if each.ephemeral_container_common.name == name and each.target_container_name:
                record = self.runtime.latest(each.target_container_name)
                return record.id if record is not None and record.life is Life.RUNNING else ""
        return ""

    @staticmethod
    def _every_container(pod: Pod) -> list[Container]:
        return [*pod.spec.init_containers, *pod.spec.containers, *plan.ephemeral(pod)]

    async def _act(self, planned: Plan) -> bool | _Finished:
        """Carries out what is quick, in order; returns whether anything was done, or that nothing is left to do."""
        acted = False
        cleaned = False
        launched = self._launch is not None
        for action in planned.actions:
            if isinstance(action, (*_SLOW, plan.StopContainer)):
                continue
            if launched and isinstance(action, plan.RemoveContainer) and self._is_created(action.id):
                continue
            with self._tools.metrics.execute_s.labels(type(action).__name__).time():
                match action:
                    case plan.RemoveContainer(id=container_id):
                        await self._tools.executor.remove_container(self.identity, self.runtime, container_id)
                    case plan.StopSandbox(id=sandbox_id):
                        await self._tools.runtime.stop_sandbox(sandbox_id)
                    case plan.RemoveSandbox(id=sandbox_id):
                        await self._tools.runtime.remove_sandbox(sandbox_id)
                    case plan.CleanUp():
                        await self._tools.executor.clean_up(self.identity)
                        cleaned = True
                    case plan.DeleteObject():
                        await self._delete_object()
            acted = True
        if cleaned:
            self._log.info("pod removed")
            return _FINISHED
        return acted

    async def _delete_object(self) -> None:
        """Deletes the pod for good; one that is gone, or another of its name, is fine."""
        with contextlib.suppress(NotFound, Conflict):
            await self._tools.api.pods.delete(
                self.identity.name, namespace=self.identity.namespace, uid=self.identity.uid, grace_period_s=0
            )

    def _report(self, desired: Desired, planned: Plan, now: datetime) -> None:
        if self._pod is None or desired.going is Going.GONE:
            return
        self._announce_backoffs(planned)
        around = Surroundings(
            host_ips=tuple(self._tools.config.node_ips),
            memory=self._memory(desired),
            waiting=planned.waiting,
            going=desired.going is not None,
            verdict=self._verdict,
        )
        self._pod = self._publisher.saw(self._pod)
        self._publisher.publish(pod_status.build(self._pod, self.runtime, around, now))

    def _announce_backoffs(self, planned: Plan) -> None:
        """Events about containers that have begun to wait for their next start."""
        waiting = {
            name for name, each in planned.waiting.items() if each.reason in (plan.CRASH_LOOP, plan.PULL_BACKOFF)
        }
        for name in waiting - self._waiting:
            assert self._pod is not None
            reason = planned.waiting[name]
            message = reason.message
            if reason.reason == plan.CRASH_LOOP:
                message = (
                    f"Back-off restarting failed container {name} in pod "
                    f"{self.identity.name}_{self.identity.namespace}({self.identity.uid})"
                )
            path = f"spec.containers{{{name}}}"
            self._tools.recorder.event(self._pod, "Warning", "BackOff", message, field_path=path)
        self._waiting = waiting


def _words(pod: Pod) -> tuple[dict[str, str], dict[str, str]]:
    return dict(pod.metadata.labels), dict(pod.metadata.annotations)


class _Finished:
    """Nothing of the pod is left."""


_FINISHED = _Finished()
