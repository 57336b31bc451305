"""Writes one pod's status to the apiserver: the newest only, without holding up the pod's worker."""

from __future__ import annotations

import asyncio

import structlog
from steersman.client import Api
from steersman.clock import Clock
from steersman.core.v1.pod_pb2 import Pod, PodStatus
from steersman.errors import ApiError, Conflict, NotFound
from steersman.retry import Backoff

from nodeagent.metrics import Metrics
from nodeagent.pod import status as pod_status

log = structlog.get_logger(__name__)


def _version(pod: Pod) -> int:
    text = pod.metadata.resource_version
    return int(text) if text.isdigit() else 0


class StatusPublisher:
    """The status of one pod, on its way to the apiserver."""

    def __init__(self, api: Api, clock: Clock, metrics: Metrics) -> None:
        self._api = api
        self._clock = clock
        self._metrics = metrics
        self._pod: Pod | None = None
        self._next: PodStatus | None = None
        self._task: asyncio.Task[None] | None = None
        self.gone = False
        """The apiserver does not have this pod any more."""

    def saw(self, pod: Pod) -> Pod:
        """Takes note of the pod as the informer has it; returns the newest that is known, our own writes included."""
        if self._pod is None or _version(pod) >= _version(self._pod):
            self._pod = pod
        return self._pod

    def publish(self, status: PodStatus) -> None:
        """Writes this status unless it is there already; an earlier one that is not written yet is dropped."""
        if self.gone or self._pod is None:
            return
        if self._task is None and pod_status.same(status, self._pod.status):
            return
        self._next = status
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name=f"status of {self._pod.metadata.name}")
            self._task.add_done_callback(lambda _: setattr(self, "_task", None))

    async def flush(self) -> None:
        """Returns when everything published has been written, or the pod is gone."""
        while self._task is not None:
            await asyncio.shield(self._task)
            await asyncio.sleep(0)

    def close(self) -> None:
        """Gives up what is not written."""
        if self._task is not None:
            self._task.cancel()

    async def _drain(self) -> None:
        backoff = Backoff(base_s=0.05, limit_s=5.0)
        while self._next is not None and not self.gone:
            assert self._pod is not None
            status = self._next
            if pod_status.same(status, self._pod.status):
                self._next = None
                return
            wanted = Pod()
            wanted.CopyFrom(self._pod)
            wanted.status.CopyFrom(pod_status.rebase(status, self._pod.status))
            try:
                written = await self._api.pods.update_status(wanted)
            except NotFound:
                self.gone = True
            except Conflict:
                self._metrics.status_writes.labels("conflict").inc()
                await self._catch_up(wanted)
            except ApiError as error:
                self._metrics.status_writes.labels("error").inc()
                log.warning("status not written", pod=wanted.metadata.name, error=error.message)
                await self._clock.sleep(backoff.next_s())
            else:
                self._metrics.status_writes.labels("ok").inc()
                backoff.reset()
                self.saw(written)
                if self._next is status:
                    self._next = None

    async def _catch_up(self, pod: Pod) -> None:
        """Reads the pod after somebody else changed it."""
        try:
            fresh = await self._api.pods.get(pod.metadata.name, namespace=pod.metadata.namespace)
        except NotFound:
            self.gone = True
            return
        except ApiError as error:
            log.warning("pod not read", pod=pod.metadata.name, error=error.message)
            await self._clock.sleep(0.5)
            return
        if fresh.metadata.uid != pod.metadata.uid:
            self.gone = True
            return
        self.saw(fresh)
