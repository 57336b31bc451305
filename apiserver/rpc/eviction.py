"""Pods/Evict: deletes a pod when the budgets for disruption of its namespace allow it."""

from __future__ import annotations

from typing import Any

import grpc
from steersman.clock import Clock, to_timestamp
from steersman.meta.v1.options_pb2 import DeleteOptions
from steersman.meta.v1.requests_pb2 import WriteOptions
from steersman.policy.v1.eviction_pb2 import Eviction

from apiserver import disruption, errors
from apiserver.authn import MASTERS, User
from apiserver.registry import ATTEMPTS, STATUS_ONLY, Registry, Written
from apiserver.rpc.guard import Guard
from apiserver.watchcache import frames

# Budgets are the apiserver's own to count in: who may evict need not be able to write them.
_USER = User("system:apiserver", (MASTERS,))
_PAGE = 500


class EvictionHandlers:
    """The rpc."""

    def __init__(self, pods: Registry, budgets: Registry, guard: Guard, clock: Clock) -> None:
        self._pods = pods
        self._budgets = budgets
        self._guard = guard
        self._clock = clock

    def methods(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """The rpcs by name."""
        return {
            "Evict": grpc.unary_unary_rpc_method_handler(
                self._guard.unary("pods", "evict", self.evict), request_deserializer=Eviction.FromString
            )
        }

    async def evict(self, user: User, request: Eviction, context: Any) -> bytes:
        """Evict."""
        written = await self._evict(user, request)
        data: bytes = written.obj.SerializeToString()
        return frames.versioned(data, written.revision)

    async def _evict(self, user: User, request: Eviction) -> Written:
        namespace, name = request.metadata.namespace, request.metadata.name
        options = request.delete_options
        for _ in range(ATTEMPTS):
            pod, revision = await self._pods.get_object(namespace, name)
            self._pods.check_preconditions(pod, revision, options)
            budget = None
            if not disruption.needs_no_budget(pod):
                budget = disruption.budget_of(pod, await self._all(namespace))
            if budget is None or disruption.is_free(pod, budget):
                # What was judged is what is deleted: a pod that changed since is judged again.
                try:
                    return await self._pods.delete(user, namespace, name, _of_version(options, pod, revision))
                except errors.Conflicting:
                    continue
            await self._charge(namespace, budget.metadata.name, name, dry_run=bool(options.dry_run))
            if not options.dry_run:
                await self._say_why(user, pod)
            return await self._pods.delete(user, namespace, name, _of_pod(options, pod))
        raise errors.Conflicting("pods", name, f"it changed during each of {ATTEMPTS} attempts to evict it")

    async def _all(self, namespace: str) -> list[Any]:
        """The budgets of a namespace as the store has them: one that was made a moment ago counts."""
        found: list[Any] = []
        after, revision = "", 0
        while True:
            page = await self._budgets.list_page(namespace, after=after, limit=_PAGE, revision=revision)
            found += [self._budgets.kind.message.FromString(item.value) for item in page.items]
            if not page.more:
                return found
            after, revision = page.items[-1].key, page.revision

    async def _charge(self, namespace: str, budget: str, pod: str, *, dry_run: bool) -> None:
        """Counts the eviction in the budget under its revision, so that two callers never spend the same."""
        now = to_timestamp(self._clock.now(), whole_seconds=True)

        async def change(old: Any) -> Any:
            disruption.charge(old, pod, now)
            return old

        options = WriteOptions(dry_run=dry_run)
        await self._budgets.modify(_USER, namespace, budget, change, options, mode=STATUS_ONLY)

    async def _say_why(self, user: User, pod: Any) -> None:
        """Notes in the pod's status that it is evicted, for those who count failures."""
        now = to_timestamp(self._clock.now(), whole_seconds=True)

        async def change(old: Any) -> Any:
            kept = [each for each in old.status.conditions if each.type != "DisruptionTarget"]
            del old.status.conditions[:]
            old.status.conditions.extend(kept)
            old.status.conditions.add(
                type="DisruptionTarget",
                status="True",
                reason="EvictionByEvictionAPI",
                message="evicted on request",
                last_transition_time=now,
            )
            return old

        metadata = pod.metadata
        await self._pods.modify(
            user, metadata.namespace, metadata.name, change, WriteOptions(), uid=metadata.uid, mode=STATUS_ONLY
        )


def _of_pod(options: DeleteOptions, pod: Any) -> DeleteOptions:
    """The options, for this very pod; its version was checked before the apiserver itself changed it."""
    made = DeleteOptions()
    made.CopyFrom(options)
    made.preconditions.uid = pod.metadata.uid
    made.preconditions.ClearField("resource_version")
    return made


def _of_version(options: DeleteOptions, pod: Any, revision: int) -> DeleteOptions:
    made = _of_pod(options, pod)
    made.preconditions.resource_version = str(revision)
    return made
