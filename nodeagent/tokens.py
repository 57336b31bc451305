"""Tokens of service accounts that pods of this node have in their volumes: asked for, and asked for again in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from steersman import errors, reviews
from steersman.client import Api
from steersman.clock import Clock, from_timestamp
from steersman.core.v1.pod_pb2 import Pod
from steersman.retry import Backoff

from nodeagent.pod.volumes_spec import TokenWanted, tokens_of

log = structlog.get_logger(__name__)

# A token is replaced when so much of its life is over, and every day at least.
USED_UP = 0.8
AGE_MAX_S = 24 * 3600.0

_Key = tuple[str, TokenWanted]
"""Uid of a pod, and what it wants."""


@dataclass
class _Kept:
    task: asyncio.Task[None] | None = None
    token: bytes | None = None
    problem: str = ""
    tried: asyncio.Event = field(default_factory=asyncio.Event)


class Tokens:
    """Keeps a fresh token of every kind that a pod wants. `on_change(uid)` is called for each new one."""

    def __init__(self, api: Api, clock: Clock, on_change: Callable[[str], None]) -> None:
        self._api = api
        self._clock = clock
        self._on_change = on_change
        self._kept: dict[_Key, _Kept] = {}

    def follow(self, pod: Pod) -> None:
        """Keeps the tokens that the pod wants, and none that it wanted before. Idempotent."""
        uid = pod.metadata.uid
        wanted = tokens_of(pod)
        self._drop(uid, keep=wanted)
        for each in wanted:
            if (uid, each) not in self._kept:
                kept = self._kept[(uid, each)] = _Kept()
                name = f"token of {pod.metadata.namespace}/{pod.metadata.name}"
                kept.task = asyncio.create_task(self._keep(pod, each, kept), name=name)

    def forget(self, uid: str) -> None:
        """Keeps nothing for a pod any more."""
        self._drop(uid, keep=frozenset())

    def _drop(self, uid: str, *, keep: frozenset[TokenWanted]) -> None:
        for key in [key for key in self._kept if key[0] == uid and key[1] not in keep]:
            task = self._kept.pop(key).task
            if task is not None:
                task.cancel()

    async def tried(self, uid: str) -> None:
        """Returns when every token of a pod has been asked for once."""
        for key, kept in list(self._kept.items()):
            if key[0] == uid:
                await kept.tried.wait()

    def get(self, uid: str, audience: str, seconds: int) -> bytes | None:
        """The token as it is now; None when there is none yet."""
        kept = self._kept.get((uid, TokenWanted(audience, seconds)))
        return kept.token if kept is not None else None

    def problem(self, uid: str) -> str:
        """Why a token of a pod is missing; empty when it was not refused."""
        return next((kept.problem for key, kept in self._kept.items() if key[0] == uid and kept.problem), "")

    def close(self) -> None:
        """Keeps nothing any more."""
        for uid in {key[0] for key in self._kept}:
            self.forget(uid)

    async def _keep(self, pod: Pod, wanted: TokenWanted, kept: _Kept) -> None:
        backoff = Backoff(base_s=0.2, limit_s=30.0)
        while True:
            began = self._clock.now()
            try:
                answer = await reviews.create_token(
                    self._api,
                    pod.spec.service_account_name,
                    namespace=pod.metadata.namespace,
                    audiences=[wanted.audience] if wanted.audience else [],
                    expiration_s=wanted.seconds,
                    pod=pod,
                )
            except errors.ApiError as error:
                kept.problem = error.message
                kept.tried.set()
                log.warning("no token for a pod yet", pod=pod.metadata.name, error=error.message)
                await self._clock.sleep(backoff.next_s())
                continue
            backoff.reset()
            kept.token, kept.problem = answer.status.token.encode(), ""
            kept.tried.set()
            self._on_change(pod.metadata.uid)
            life_s = (from_timestamp(answer.status.expiration_timestamp) - began).total_seconds()
            await self._clock.sleep(max(1.0, min(USED_UP * life_s, AGE_MAX_S)))
