"""All pods of the node: one worker for each pod that the apiserver or the runtime has, woken when it matters."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict

import structlog
from steersman.core.v1.pod_pb2 import Pod
from steersman.core.v1.service_pb2 import Service
from steersman.informer import Informer
from steersman.retry import Backoff

from nodeagent.cri import events
from nodeagent.cri.channel import RuntimeChannel
from nodeagent.cri.runtime import Listed, PodIdentity
from nodeagent.errors import RuntimeFailedError, VolumeError
from nodeagent.pod import admission, quantity, resources
from nodeagent.pod.status import Verdict
from nodeagent.rotation import LogRotation
from nodeagent.tools import WorkerTools
from nodeagent.worker import PodWorker

log = structlog.get_logger(__name__)

_OWNERS_MAX = 20_000
RELIST_WITHOUT_EVENTS_S = 1.0


class Pods:
    """The workers, and what wakes them: the apiserver, the runtime's events, and a listing now and then."""

    def __init__(
        self,
        tools: WorkerTools,
        channel: RuntimeChannel,
        informer: Informer[Pod],
        services: Informer[Service],
        rotation: LogRotation,
    ) -> None:
        self._tools = tools
        self._channel = channel
        self._informer = informer
        self._services = services
        self._rotation = rotation
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._owners: OrderedDict[str, str] = OrderedDict()
        self._listed: dict[str, Listed] = {}
        self._relist_s = tools.config.relist_s

    def worker(self, uid: str) -> PodWorker | None:
        """The worker of a pod."""
        return self._workers.get(uid)

    def find(self, namespace: str, name: str) -> PodWorker | None:
        """The worker of the pod with this name; of the newer one while an older of the name is still ending."""
        for worker in reversed(self._workers.values()):
            if worker.identity.namespace == namespace and worker.identity.name == name and worker.pod is not None:
                return worker
        return None

    async def run(self) -> None:
        """Runs the pods until cancelled; containers are left running."""
        self._informer.on_change(self._pod_changed)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._informer.run(), name="pods of the apiserver")
            group.create_task(self._services.run(), name="services of the apiserver")
            group.create_task(self._follow_events(), name="events of the runtime")
            group.create_task(self._relist(), name="listing of the runtime")
            group.create_task(self._housekeeping(), name="search for leftovers")
            try:
                await asyncio.Event().wait()
            finally:
                for task in self._tasks.values():
                    task.cancel()

    async def drain(self, timeout_s: float) -> None:
        """Starts nothing any more, and waits for starts that are under way rather than cut them off half-way.

        What takes longer than `timeout_s` seconds, as fetching an image may, is cut off, and begun anew later.
        """
        starts = [asyncio.create_task(worker.finish()) for worker in self._workers.values()]
        if starts:
            _, late = await asyncio.wait(starts, timeout=timeout_s)
            for task in late:
                task.cancel()

    def objects_changed(self, uid: str) -> None:
        """Something that a pod refers to changed."""
        worker = self._workers.get(uid)
        if worker is not None:
            worker.objects_changed()

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            worker = self._workers.get(old.metadata.uid)
            if worker is not None:
                worker.vanish()
        if new is not None:
            metadata = new.metadata
            self._ensure(PodIdentity(metadata.uid, metadata.namespace, metadata.name)).update(new)

    def _ensure(self, identity: PodIdentity) -> PodWorker:
        worker = self._workers.get(identity.uid)
        if worker is None:
            worker = self._workers[identity.uid] = PodWorker(identity, self._tools, self._seen, self._admit)
            task = asyncio.create_task(worker.run(), name=f"pod {identity.namespace}/{identity.name}")
            self._tasks[identity.uid] = task
            task.add_done_callback(lambda done: self._worker_done(identity, done))
            self._tools.metrics.pods.set(len(self._workers))
        return worker

    def _worker_done(self, identity: PodIdentity, task: asyncio.Task[None]) -> None:
        self._workers.pop(identity.uid, None)
        self._tasks.pop(identity.uid, None)
        self._tools.metrics.pods.set(len(self._workers))
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("pod worker failed; it starts over", pod=str(identity), exc_info=error)
            asyncio.get_running_loop().call_later(1.0, self._start_over, identity)

    def _start_over(self, identity: PodIdentity) -> None:
        for pod in self._informer.list():
            if pod.metadata.uid == identity.uid:
                self._ensure(identity).update(pod)

    def _admit(self, pod: Pod) -> Verdict | None:
        others = [
            worker.pod
            for uid, worker in self._workers.items()
            if uid != pod.metadata.uid and worker.admitted and worker.pod is not None and not worker.failed
        ]
        return admission.refusal(pod, admission.active(others), self._tools.executor.allocatable)

    def _seen(self, uid: str, ids: list[str]) -> None:
        for each in ids:
            self._owners[each] = uid
        while len(self._owners) > _OWNERS_MAX:
            self._owners.popitem(last=False)

    async def _follow_events(self) -> None:
        """Hears at once that containers ended; where the runtime cannot tell, the listing finds out."""
        backoff = Backoff(base_s=0.1, limit_s=2.0)
        while True:
            try:
                async for event in events.subscribe(self._channel):
                    backoff.reset()
                    uid = self._owners.get(event.container_id)
                    if uid is None:
                        uid = await self._tools.runtime.pod_of_container(event.container_id)
                    worker = self._workers.get(uid) if uid is not None else None
                    if worker is not None and isinstance(event, events.Ended):
                        worker.ended(event.container_id)
            except RuntimeFailedError as error:
                if error.code == "UNIMPLEMENTED":
                    self._relist_s = min(self._relist_s, RELIST_WITHOUT_EVENTS_S)
                    log.info("the runtime has no events; relying on listings", every_s=self._relist_s)
                    return
                log.warning("the runtime's events broke", error=error.message)
            # What happened meanwhile was not heard.
            for worker in list(self._workers.values()):
                worker.wake()
            await self._tools.clock.sleep(backoff.next_s())

    async def _relist(self) -> None:
        """Compares listings of the runtime; finds what events did not tell, and pods that nobody knows."""
        await self._informer.synced()
        while True:
            try:
                listed = await self._tools.runtime.list_pods()
            except RuntimeFailedError as error:
                log.warning("the runtime could not be listed", error=error.message)
            else:
                self._tools.metrics.containers_running.set(sum(each.running for each in listed.values()))
                for uid, each in listed.items():
                    worker = self._workers.get(uid)
                    if worker is None:
                        if uid not in self._listed or not self._known(uid):
                            log.info("pod found that the apiserver does not have", pod=each.pod.name, uid=uid)
                        self._ensure(each.pod).wake()
                    elif uid not in self._listed or self._listed[uid].marks != each.marks:
                        worker.wake()
                self._listed = listed
            await asyncio.to_thread(self._weigh, [worker.pod for worker in self._workers.values() if worker.pod])
            await self._tools.clock.sleep(self._relist_s)

    def _weigh(self, pods: list[Pod]) -> None:
        """Lets each class of pods have CPU by what its pods ask for: best effort gets what the others leave."""
        cgroups = self._tools.executor.cgroups
        burstable = [each for each in admission.active(pods) if resources.qos_class(each) == resources.BURSTABLE]
        asked = sum(quantity.milli(resources.pod_request(each, "cpu")) for each in burstable)
        cgroups.weigh(resources.BURSTABLE, resources.cpu_shares(asked))
        cgroups.weigh(resources.BEST_EFFORT, resources.CPU_SHARES_MIN)

    def _known(self, uid: str) -> bool:
        return any(pod.metadata.uid == uid for pod in self._informer.list())

    async def _housekeeping(self) -> None:
        """Rotates logs, and takes away folders of pods that neither the apiserver nor the runtime has any more."""
        await self._informer.synced()
        volumes = self._tools.executor.volumes
        while True:
            for worker in list(self._workers.values()):
                await self._rotation.rotate(worker.identity, worker.runtime)
            with contextlib.suppress(RuntimeFailedError):
                running = await self._tools.runtime.list_pods()
                for uid in await asyncio.to_thread(volumes.known):
                    if uid in self._workers or uid in running or self._known(uid):
                        continue
                    try:
                        await self._tools.executor.clean_up(PodIdentity(uid, "", ""))
                        log.info("leftover of a pod removed", uid=uid)
                    except (VolumeError, OSError) as error:
                        log.warning("leftover of a pod not removed", uid=uid, error=str(error))
            await self._tools.clock.sleep(self._tools.config.housekeeping_s)
