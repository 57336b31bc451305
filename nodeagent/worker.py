"""One pod's worker: looks, plans, acts, reports; again whenever something happened.

Everything about a pod happens here in order. What takes long (starting containers, stopping them) runs beside the
worker as tasks of its own, which the plan knows of, so that the worker stays able to see a deletion or a change.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime

import structlog
from steersman.core.v1.container_pb2 import Container
from steersman.core.v1.pod_pb2 import Pod
from steersman.errors import ApiError, Conflict, NotFound
from steersman.retry import Backoff

from nodeagent.cri.runtime import PodIdentity
from nodeagent.errors import RuntimeFailedError, VolumeError
from nodeagent.launcher import Launcher
from nodeagent.pod import phase, plan
from nodeagent.pod import status as pod_status
from nodeagent.pod.plan import Desired, Going, Memory, Plan
from nodeagent.pod.probes import Health
from nodeagent.pod.state import ContainerRecord, Life, PodRuntime
from nodeagent.pod.status import Surroundings, Verdict
from nodeagent.prober import Probed, Prober
from nodeagent.publisher import StatusPublisher
from nodeagent.stops import Stops
from nodeagent.tools import WorkerTools

log = structlog.get_logger(__name__)

# How long the runtime may take to show an end that it has announced.
SETTLE_S = 1.0


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
        self._launcher = Launcher(identity, tools, lambda: self.runtime, self.wake)
        self._stops = Stops(identity, tools, self.wake)
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

    async def finish(self) -> None:
        """Starts nothing any more; returns when what is being started now has been started, or has failed."""
        await self._launcher.finish()

    def update(self, pod: Pod) -> None:
        """The apiserver has this version of the pod."""
        self._known_to_api = True
        newest = self._publisher.saw(pod)
        changed = self._pod is None or self._pod.metadata.generation != newest.metadata.generation
        before, self._pod = self._pod, newest
        if before is None:
            self._log.info("pod bound to this node", phase=pod.status.phase)
        if changed:
            self._tools.objects.follow(pod)
            self._launcher.problems.clear()
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
        self._launcher.reconsider()
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
            self._launcher.close()
            self._stops.close()

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
            if desired.going is not None and self._launcher.busy:
                await self._launcher.abandon()
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
        self._all_ran = begun

    def _memory(self, desired: Desired) -> Memory:
        return Memory(
            backoffs=self._launcher.backoffs,
            health=self._prober.health,
            launching=self._launcher.busy,
            stopping=self._stops.under_way(desired.grace_s if desired.going is not None else None),
            problems=self._launcher.problems,
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
            if record is None or record.life is not Life.RUNNING or container.name in self._launcher.starting:
                continue
            if self._stops.has(record.id) or record.id in self._prober.health:
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
        """Begins what takes long."""
        if self._pod is not None:
            self._launcher.begin(self._pod, planned.actions)
        for each in planned.actions:
            if isinstance(each, plan.StopContainer):
                self._prober.pause(each.id)
                self._stops.begin(self._pod, each, self.runtime)

    async def _act(self, planned: Plan) -> bool | _Finished:
        """Carries out what is quick, in order; returns whether anything was done, or that nothing is left to do."""
        acted = False
        cleaned = False
        for action in planned.actions:
            if isinstance(action, (plan.CreateSandbox, plan.StartContainer, plan.StopContainer)):
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
