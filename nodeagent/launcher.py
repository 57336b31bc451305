"""Starts sandbox and containers of one pod, one after the other, in a task of its own: fetching an image may be long.

What went wrong is remembered here, with when to try again; the plan takes it from here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog
from steersman.core.v1.pod_pb2 import Pod

from nodeagent.cri.runtime import PodIdentity
from nodeagent.errors import ContainerStartError, ImageError, RuntimeFailedError, VolumeError
from nodeagent.pod import backoff
from nodeagent.pod.backoff import CrashBackoff
from nodeagent.pod.errors import PodConfigError
from nodeagent.pod.plan import PULL_FAILED, Action, CreateSandbox, Problem, StartContainer, ephemeral
from nodeagent.pod.state import Life, PodRuntime
from nodeagent.tools import WorkerTools

log = structlog.get_logger(__name__)

CONFIG_ERROR = "CreateContainerConfigError"
CREATE_ERROR = "CreateContainerError"
CONFIG_RETRY_S = 5.0
RUNTIME_RETRY_S = 1.0
# The runtime is still carrying out the call of an agent that was killed.
BUSY_RETRY_S = 0.3
SANDBOX_RETRY_S = 2.0
SANDBOX_RETRY_MAX_S = 30.0
# After an error that nobody has thought of.
UNEXPECTED_RETRY_S = 10.0
# The sandbox has no name among the containers' names.
SANDBOX = ""


class Launcher:
    """Starts under way, and what is remembered of earlier ones.

    Attributes:
        backoffs: by container name: how long the next restart must wait.
        problems: by container name ("" the sandbox): why the last start failed.
        starting: names of containers that are being started; their postStart hooks may still run.
    """

    def __init__(
        self,
        identity: PodIdentity,
        tools: WorkerTools,
        look: Callable[[], PodRuntime],
        on_change: Callable[[], None],
    ) -> None:
        """Makes it.

        Args:
            identity: which pod.
            tools: what all workers share.
            look: the pod in the runtime, as last seen.
            on_change: called whenever something was started or failed.
        """
        self._identity = identity
        self._tools = tools
        self._look = look
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._retries: dict[str, CrashBackoff] = {}
        self.backoffs: dict[str, CrashBackoff] = {}
        self.problems: dict[str, Problem] = {}
        self.starting: set[str] = set()
        self._log = log.bind(pod=f"{identity.namespace}/{identity.name}")

    @property
    def busy(self) -> bool:
        """Whether something is being started."""
        return self._task is not None

    async def finish(self) -> None:
        """Begins nothing any more; returns when what is being started now has been started, or has failed."""
        self._closed = True
        if self._task is not None:
            await asyncio.wait({self._task})

    def begin(self, pod: Pod, actions: Sequence[Action]) -> None:
        """Begins the starts among the actions, if there are any."""
        starts = [each for each in actions if isinstance(each, (CreateSandbox, StartContainer))]
        if not starts or self._closed or self._task is not None:
            return
        self.starting = {each.name for each in starts if isinstance(each, StartContainer)}
        self._task = asyncio.create_task(self._run(pod, starts), name=f"launch {self._identity.name}")
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if self._task is task:
            self._task = None
            self.starting = set()
        self._on_change()

    async def abandon(self) -> None:
        """Gives up what is being started; what the runtime has begun may still come to be."""
        task = self._task
        if task is None:
            return
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        self._task = None
        self.starting = set()

    def reconsider(self) -> None:
        """What the pod refers to has changed: what failed for want of it may be tried at once."""
        curable = (CONFIG_ERROR, PULL_FAILED)
        for name in [name for name, each in self.problems.items() if name == SANDBOX or each.reason in curable]:
            del self.problems[name]

    def close(self) -> None:
        """Gives up what is being started, without waiting for it."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self, pod: Pod, starts: Sequence[CreateSandbox | StartContainer]) -> None:
        """Carries out starts in order; a container that fails does not hold up the next, a sandbox that fails does."""
        for action in starts:
            name = action.name if isinstance(action, StartContainer) else SANDBOX
            with self._tools.metrics.execute_s.labels(type(action).__name__).time():
                try:
                    if isinstance(action, StartContainer):
                        await self._start_container(pod, action)
                    elif not await self._create_sandbox(pod, action):
                        return
                except Exception as error:
                    self._log.exception("start failed", container=name)
                    self._note(name, CREATE_ERROR, f"{type(error).__name__}: {error}", UNEXPECTED_RETRY_S)
            self.starting.discard(name)
            self._on_change()

    def _note(self, name: str, reason: str, message: str, retry_s: float) -> None:
        now = self._tools.clock.now()
        self.problems[name] = Problem(reason, message, now, now + timedelta(seconds=retry_s))

    def _raise_retry(self, name: str, base_s: float) -> float:
        """Seconds to wait before the next try, longer each time."""
        entry = backoff.after_start(self._retries.get(name), self._tools.clock.now(), None, base_s=base_s)
        self._retries[name] = entry
        return entry.delay_s

    async def _create_sandbox(self, pod: Pod, action: CreateSandbox) -> bool:
        try:
            await self._tools.executor.create_sandbox(pod, action.attempt)
        except (PodConfigError, VolumeError) as error:
            self._sandbox_failed(pod, "FailedMount", f"MountVolume.SetUp failed: {error}")
        except RuntimeFailedError as error:
            if error.still_busy:
                self._note(SANDBOX, "Busy", error.message, BUSY_RETRY_S)
            else:
                self._sandbox_failed(pod, "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error.message}")
        else:
            self.problems.pop(SANDBOX, None)
            self._retries.pop(SANDBOX, None)
            return True
        return False

    def _sandbox_failed(self, pod: Pod, reason: str, message: str) -> None:
        self._note(SANDBOX, reason, message, min(self._raise_retry(SANDBOX, SANDBOX_RETRY_S), SANDBOX_RETRY_MAX_S))
        self._log.warning("sandbox not made", reason=reason, error=message)
        self._tools.recorder.event(pod, "Warning", reason, message)

    async def _start_container(self, pod: Pod, action: StartContainer) -> None:
        every = (*pod.spec.init_containers, *pod.spec.containers, *ephemeral(pod))
        container = next((each for each in every if each.name == action.name), None)
        sandbox = self._look().sandbox
        if container is None or sandbox is None:
            return
        executor = self._tools.executor
        if action.after is not None:
            entry = self.backoffs.get(action.name)
            self.backoffs[action.name] = backoff.after_start(entry, self._tools.clock.now(), action.after)
            self._tools.metrics.restarts.inc()
        self.problems.pop(action.name, None)
        try:
            await self._remove_unstarted(action.name)
            await executor.start_container(
                pod, container, action.attempt, sandbox, target_id=self._target_of(pod, action.name)
            )
        except ImageError as error:
            self._note(action.name, error.reason, error.message, self._raise_retry(action.name, backoff.BASE_S))
        except (PodConfigError, VolumeError) as error:
            self._note(action.name, CONFIG_ERROR, str(error), CONFIG_RETRY_S)
        except ContainerStartError as error:
            # What was made has ended, and waits as any container that ended; what was not made is tried again later.
            retry_s = CONFIG_RETRY_S if error.reason == CREATE_ERROR else 0.0
            self._note(action.name, error.reason, error.message, BUSY_RETRY_S if error.still_busy else retry_s)
        except RuntimeFailedError as error:
            self._note(action.name, CREATE_ERROR, error.message, RUNTIME_RETRY_S)
        else:
            self._retries.pop(action.name, None)

    async def _remove_unstarted(self, name: str) -> None:
        """Removes a container that an agent made and was killed before it could start it."""
        runtime = self._look()
        for record in runtime.attempts(name):
            if record.life is Life.CREATED:
                await self._tools.executor.remove_container(self._identity, runtime, record.id)

    def _target_of(self, pod: Pod, name: str) -> str:
        """Id of the container that an ephemeral one is to look into; "" when it is none, or names none that runs."""
        for each in pod.spec.ephemeral_containers:
            if each.ephemeral_container_common.name == name and each.target_container_name:
                record = self._look().latest(each.target_container_name)
                return record.id if record is not None and record.life is Life.RUNNING else ""
        return ""
