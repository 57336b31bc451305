"""Telling the apiserver: bindings, several at a time, and conditions of pods that got no node."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

import structlog
from steersman import errors
from steersman.client import Api
from steersman.clock import Clock, to_timestamp
from steersman.core.v1 import Pod
from steersman.recorder import Recorder

from scheduler.metrics import Metrics
from scheduler.musters import CrewError, Musters
from scheduler.outcomes import UNSCHEDULABLE_REASON, Assumption, Placement, Refusal
from scheduler.plugins.default_preemption import DISRUPTED, PUSHED_OUT, Preemption
from scheduler.pod import PodInfo
from scheduler.schedule import Schedule
from scheduler.volume_binder import VolumeBinder, VolumeError

log = structlog.get_logger(__name__)

BINDINGS_MAX = 128
REPORTS_MAX = 16
CONFLICTS_MAX = 5
SCHEDULED = "PodScheduled"


class Waker(Protocol):
    """Something that looks again after it was told to."""

    def wake(self) -> None:
        """Look again."""
        ...


class Binder:
    """Carries out what was decided, while the next decisions are made."""

    def __init__(
        self,
        api: Api,
        schedule: Schedule,
        recorder: Recorder,
        clock: Clock,
        metrics: Metrics,
        waker: Waker,
        volumes: VolumeBinder,
    ) -> None:
        self._api = api
        self._schedule = schedule
        self._recorder = recorder
        self._clock = clock
        self._metrics = metrics
        self._waker = waker
        self._volumes = volumes
        self._musters = Musters(clock)
        self._bindings = api.pods.bindings()
        self._streams = True
        self._slots = asyncio.Semaphore(BINDINGS_MAX)
        self._reports = asyncio.Semaphore(REPORTS_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    async def bind(self, placement: Placement) -> None:
        """Begins to bind; returns once there is room for it among the bindings under way.

        A pod whose volumes must be seen to first takes up no room until that is done.
        """
        if placement.volumes is not None or placement.crew is not None:
            self._start(self._bind_later(placement))
            return
        await self._slots.acquire()
        self._start(self._bind(placement))

    def report(self, refusal: Refusal) -> None:
        """Begins to write why a pod has no node into its condition, and an event; what is there already is left."""
        pod = refusal.pod
        if refusal.reason == UNSCHEDULABLE_REASON:
            self._recorder.event(pod, "Warning", "FailedScheduling", refusal.message)
        if refusal.preemption is not None:
            self._start(self._preempt(pod, refusal.preemption))
        for condition in pod.status.conditions:
            if (
                refusal.preemption is None
                and condition.type == SCHEDULED
                and condition.status == "False"
                and (condition.reason, condition.message) == (refusal.reason, refusal.message)
                and pod.status.nominated_node_name == refusal.nominated
            ):
                return
        self._start(self._report(refusal))

    async def drain(self, timeout_s: float) -> None:
        """Waits for what is under way, at most so many seconds, and cuts the rest; nothing is bound afterwards."""
        if self._tasks:
            _, late = await asyncio.wait([*self._tasks], timeout=timeout_s)
            for task in late:
                task.cancel()
        await self._bindings.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bind_later(self, placement: Placement) -> None:
        """Binds a pod when its volumes are ready, and enough of its group."""
        pod, crew = placement.pod, placement.crew
        try:
            if placement.volumes is not None:
                # Once the others have given up, it would hold its place for nothing.
                timeout_s = min(placement.volumes_timeout_s, crew.timeout_s if crew else placement.volumes_timeout_s)
                await self._volumes.carry_out(placement.volumes, timeout_s)
            if crew is not None:
                await self._musters.ready(crew, pod.uid)
        except (VolumeError, CrewError) as error:
            log.info("not bound", pod=str(pod), node=placement.node, error=error.reason)
            if crew is not None and isinstance(error, VolumeError):
                self._musters.failed(crew, pod.uid)
            self._recorder.event(pod.message, "Warning", "FailedScheduling", f"not bound: {error.reason}")
            self._schedule.bind_failed(pod.uid, self._clock.monotonic())
            self._waker.wake()
            return
        if pod.uid not in self._schedule.assumed:
            # It went away while it waited.
            return
        await self._slots.acquire()
        await self._bind(placement)

    async def _bind(self, placement: Placement) -> None:
        pod = placement.pod
        started = self._clock.monotonic()
        try:
            if self._schedule.cluster.rows.get(placement.node) is None:
                raise errors.FailedPrecondition(f"node {placement.node} is gone")
            await self._send(pod, placement.node)
        except (errors.NotFound, errors.Conflict, errors.FailedPrecondition) as error:
            log.info("binding refused", pod=str(pod), node=placement.node, error=error.message)
            await self._find_out(pod.uid, pod.namespace, pod.name)
        except (errors.Unavailable, errors.DeadlineExceeded, errors.Cancelled) as error:
            # It may or may not have happened: the assumption stands until the truth is known.
            log.warning("binding uncertain", pod=str(pod), node=placement.node, error=error.message)
            await self._find_out(pod.uid, pod.namespace, pod.name)
        except errors.ApiError as error:
            log.warning("binding failed", pod=str(pod), node=placement.node, error=error.message)
            self._recorder.event(pod.message, "Warning", "FailedScheduling", f"binding rejected: {error.message}")
            self._schedule.bind_failed(pod.uid, self._clock.monotonic())
        else:
            self._schedule.bound(pod.uid)
            self._metrics.binding.observe(self._clock.monotonic() - started)
            self._recorder.event(pod.message, "Normal", "Scheduled", f"Successfully assigned {pod} to {placement.node}")
        finally:
            self._slots.release()
            self._waker.wake()

    async def _send(self, pod: PodInfo, node: str) -> None:
        if self._streams:
            try:
                await self._bindings.bind(pod.name, namespace=pod.namespace, node_name=node, uid=pod.uid)
            except (errors.Forbidden, errors.Unsupported):
                # Not in all namespaces, it may be, or not by this apiserver: then each is asked for by itself.
                self._streams = False
            else:
                return
        await self._api.pods.bind(pod.name, namespace=pod.namespace, node_name=node, uid=pod.uid)

    def start_settling(self, assumption: Assumption) -> None:
        """Begins to ask what became of a pod that has been assumed for too long."""
        self._start(self._settle(assumption))

    async def _settle(self, assumption: Assumption) -> None:
        pod = assumption.pod
        await self._find_out(pod.uid, pod.namespace, pod.name)
        self._waker.wake()

    async def _find_out(self, uid: str, namespace: str, name: str) -> None:
        """Reads a pod whose binding is uncertain and acts on what is true."""
        try:
            present = await self._api.pods.get(name, namespace=namespace)
        except errors.NotFound:
            self._schedule.bind_failed(uid, self._clock.monotonic(), gone=True)
            return
        except errors.ApiError as error:
            log.debug("pod cannot be read, assumption stands", pod=f"{namespace}/{name}", error=error.message)
            return
        now = self._clock.monotonic()
        if present.metadata.uid != uid:
            self._schedule.bind_failed(uid, now, gone=True)
        elif present.spec.node_name:
            self._schedule.pod_changed(None, present, now)
        else:
            self._schedule.bind_failed(uid, now, gone=present.metadata.HasField("deletion_timestamp"))

    async def _report(self, refusal: Refusal) -> None:
        async with self._reports:
            pod = refusal.pod
            for _ in range(CONFLICTS_MAX):
                changed = self._with_condition(pod, refusal)
                try:
                    await self._api.pods.update_status(changed)
                except errors.Conflict:
                    # Somebody else wrote meanwhile; the condition is put into what is there now.
                    try:
                        pod = await self._api.pods.get(pod.metadata.name, namespace=pod.metadata.namespace)
                    except errors.ApiError:
                        return
                    if pod.metadata.uid != refusal.pod.metadata.uid or pod.spec.node_name:
                        return
                except errors.NotFound:
                    return
                except errors.ApiError as error:
                    log.warning("condition not written", pod=pod.metadata.name, error=error.message)
                    return
                else:
                    return

    async def _preempt(self, pod: Pod, preemption: Preemption) -> None:
        """Deletes the victims; each gets its usual time to end."""
        by = f"{pod.metadata.namespace}/{pod.metadata.name}"
        for victim in preemption.victims:
            if victim.terminating:
                continue
            await self._mark(victim, by)
            try:
                await self._api.pods.delete(victim.name, namespace=victim.namespace, uid=victim.uid)
            except errors.NotFound:
                continue
            except errors.ApiError as error:
                log.warning("victim not deleted", victim=str(victim), preempted_by=by, error=error.message)
                continue
            log.info("preempted", victim=str(victim), node=preemption.node, preempted_by=by)
            self._recorder.event(
                victim.message, "Normal", "Preempted", f"Preempted by pod {by} on node {preemption.node}"
            )

    async def _mark(self, victim: PodInfo, by: str) -> None:
        """Writes into a victim's status why it is about to be deleted; its going does not depend on that."""
        try:
            present = await self._api.pods.get(victim.name, namespace=victim.namespace)
            if present.metadata.uid != victim.uid:
                return
            conditions = present.status.conditions
            condition = next((one for one in conditions if one.type == DISRUPTED), None) or conditions.add(
                type=DISRUPTED
            )
            if condition.status != "True":
                condition.last_transition_time.CopyFrom(to_timestamp(self._clock.now(), whole_seconds=True))
            condition.status, condition.reason = "True", PUSHED_OUT
            condition.message = f"Pushed out for pod {by}, which has a higher priority"
            await self._api.pods.update_status(present)
        except errors.ApiError as error:
            log.debug("victim not marked", victim=str(victim), error=error.message)

    def _with_condition(self, pod: Pod, refusal: Refusal) -> Pod:
        changed = Pod()
        changed.CopyFrom(pod)
        changed.status.nominated_node_name = refusal.nominated
        condition = next((one for one in changed.status.conditions if one.type == SCHEDULED), None)
        if condition is None:
            condition = changed.status.conditions.add(type=SCHEDULED)
        if condition.status != "False":
            condition.last_transition_time.CopyFrom(to_timestamp(self._clock.now(), whole_seconds=True))
        condition.status = "False"
        condition.reason = refusal.reason
        condition.message = refusal.message
        return changed
