"""Observes ReplicaSets and pods, and carries out the plan."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from steersman import errors
from steersman.apps.v1.replica_set_pb2 import ReplicaSet
from steersman.core.v1.pod_pb2 import Pod
from steersman.informer import Key, key_of
from steersman.reconcile import Result
from steersman.runtime import Runtime

from controllers.expectations import Expectations
from controllers.pods import controller_of, owned_by
from controllers.replicaset import plan as planning
from controllers.replicaset.plan import Adopt, CreatePods, DeletePod, Release

log = structlog.get_logger(__name__)

MANAGER = "replicaset-controller"
BY_OWNER, ORPHANS = "controller-uid", "orphans"
# Creations begin one at a time and double, so that a quota that refuses all is asked only once.
FIRST_BATCH = 1
NAME_CHARACTERS_MAX = 58


class ReplicaSetController:
    """Keeps the pods of ReplicaSets."""

    def __init__(self, runtime: Runtime) -> None:
        self._api = runtime.api
        self._recorder = runtime.recorder
        self._clock = runtime.clock
        self._replica_sets = runtime.informer(ReplicaSet)
        self._pods = runtime.informer(Pod)
        self._expectations = Expectations()
        self._pods.add_index(BY_OWNER, lambda pod: [o.uid] if (o := controller_of(pod)) is not None else [])
        self._pods.add_index(ORPHANS, lambda pod: [pod.metadata.namespace] if controller_of(pod) is None else [])
        # What is expected is settled before anybody is told of the change.
        self._replica_sets.on_change(self._replica_set_changed)
        self._pods.on_change(self._pod_changed)
        runtime.reconciler(ReplicaSet, owns=[Pod], watches={Pod: self._may_adopt}, workers=8)(self.reconcile)

    def _replica_set_changed(self, old: ReplicaSet | None, new: ReplicaSet | None) -> None:
        if new is None and old is not None:
            self._expectations.forget(old.metadata.uid)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        for pod in (old, new):
            owner = controller_of(pod) if pod is not None else None
            if pod is not None and owner is not None and owner.kind == "ReplicaSet":
                self._expectations.seen(owner.uid, key_of(pod))
                if new is None or pod.metadata.HasField("deletion_timestamp"):
                    self._expectations.gone(owner.uid, pod.metadata.uid)

    def _may_adopt(self, _old: Pod | None, new: Pod | None) -> list[Key]:
        if new is None or controller_of(new) is not None:
            return []
        return [key_of(one) for one in self._replica_sets.list() if one.metadata.namespace == new.metadata.namespace]

    async def reconcile(self, key: Key) -> Result | None:
        """Brings one ReplicaSet's pods to what it asks for, and its status to what is."""
        replica_set = self._replica_sets.get(key)
        if replica_set is None:
            return None
        uid = replica_set.metadata.uid
        now = self._clock.now()
        going = self._expectations.going(uid, self._clock.monotonic())
        pods = [
            pod
            for pod in (*self._pods.by_index(BY_OWNER, uid), *self._pods.by_index(ORPHANS, key.namespace))
            if pod.metadata.uid not in going
        ]
        pending = self._expectations.pending(uid, self._clock.monotonic())
        decided = planning.plan(replica_set, pods, len(pending), now)
        failure = await self._execute(replica_set, decided.actions)
        await self._update_status(replica_set, failure)
        if failure:
            raise errors.FailedPrecondition(failure)
        return Result(requeue_after_s=decided.look_again_s)

    async def _execute(self, replica_set: ReplicaSet, actions: list[planning.Action]) -> str:
        """Carries out actions; returns why pods could not be created, or nothing."""
        deletions = [action.pod for action in actions if isinstance(action, DeletePod)]
        for action in actions:
            match action:
                case Adopt(pod):
                    await self._adopt(replica_set, pod)
                case Release(pod):
                    await self._release(replica_set, pod)
                case CreatePods(count):
                    failure = await self._create(replica_set, count)
                    if failure:
                        return failure
        await asyncio.gather(*(self._delete(replica_set, pod) for pod in deletions))
        return ""

    async def _create(self, replica_set: ReplicaSet, count: int) -> str:
        batch = FIRST_BATCH
        while count > 0:
            results = await asyncio.gather(
                *(self._create_one(replica_set) for _ in range(min(batch, count))), return_exceptions=True
            )
            for result in results:
                if isinstance(result, errors.ApiError):
                    if isinstance(result, (errors.Unavailable, errors.DeadlineExceeded)):
                        raise result
                    self._recorder.event(replica_set, "Warning", "FailedCreate", f"Error creating: {result.message}")
                    return result.message
                if isinstance(result, BaseException):
                    raise result
            count -= batch
            batch *= 2
        return ""

    async def _create_one(self, replica_set: ReplicaSet) -> None:
        pod = Pod(spec=replica_set.spec.template.spec)
        template = replica_set.spec.template.metadata
        pod.metadata.namespace = replica_set.metadata.namespace
        pod.metadata.generate_name = f"{replica_set.metadata.name[:NAME_CHARACTERS_MAX]}-"
        pod.metadata.labels.update(template.labels)
        pod.metadata.annotations.update(template.annotations)
        pod.metadata.finalizers.extend(template.finalizers)
        pod.metadata.owner_references.append(owned_by(replica_set, "ReplicaSet", "apps/v1"))
        created = await self._api.pods.create(pod, field_manager=MANAGER)
        key = key_of(created)
        if self._pods.get(key) is None:
            self._expectations.created(replica_set.metadata.uid, key, created, self._clock.monotonic())
        log.debug("created a pod", replica_set=replica_set.metadata.name, pod=created.metadata.name)
        self._recorder.event(replica_set, "Normal", "SuccessfulCreate", f"Created pod: {created.metadata.name}")

    async def _delete(self, replica_set: ReplicaSet, pod: Any) -> None:
        self._expectations.deleted(replica_set.metadata.uid, pod.metadata.uid, self._clock.monotonic())
        try:
            await self._api.pods.delete(pod.metadata.name, namespace=pod.metadata.namespace, uid=pod.metadata.uid)
        except (errors.NotFound, errors.Conflict):
            return
        except errors.ApiError:
            self._expectations.gone(replica_set.metadata.uid, pod.metadata.uid)
            raise
        self._recorder.event(replica_set, "Normal", "SuccessfulDelete", f"Deleted pod: {pod.metadata.name}")

    async def _adopt(self, replica_set: ReplicaSet, pod: Any) -> None:
        changed = Pod()
        changed.CopyFrom(pod)
        changed.metadata.owner_references.append(owned_by(replica_set, "ReplicaSet", "apps/v1"))
        await self._api.pods.update(changed, field_manager=MANAGER)

    async def _release(self, replica_set: ReplicaSet, pod: Any) -> None:
        changed = Pod()
        changed.CopyFrom(pod)
        kept = [o for o in pod.metadata.owner_references if o.uid != replica_set.metadata.uid]
        del changed.metadata.owner_references[:]
        changed.metadata.owner_references.extend(kept)
        await self._api.pods.update(changed, field_manager=MANAGER)

    async def _update_status(self, replica_set: ReplicaSet, failure: str) -> None:
        current = self._replica_sets.get(key_of(replica_set))
        if current is None or current.metadata.uid != replica_set.metadata.uid:
            return
        uid = current.metadata.uid
        pending = self._expectations.pending(uid, self._clock.monotonic())
        pods = [*self._pods.by_index(BY_OWNER, uid), *pending]
        wanted = planning.status(current, pods, failure, self._clock.now())
        if wanted == current.status:
            return
        changed = ReplicaSet()
        changed.CopyFrom(current)
        changed.status.CopyFrom(wanted)
        # The status is computed afresh each time, so the latest word may win over any version.
        changed.metadata.resource_version = ""
        await self._api.replicasets.update_status(changed, field_manager=MANAGER)
