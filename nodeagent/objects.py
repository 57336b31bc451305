"""What pods of this node refer to: ConfigMaps and Secrets are watched, tokens kept fresh, while a pod needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from google.protobuf.message import Message
from steersman.client import Api
from steersman.clock import Clock
from steersman.core.v1.config_map_pb2 import ConfigMap
from steersman.core.v1.pod_pb2 import Pod
from steersman.core.v1.secret_pb2 import Secret
from steersman.informer import Informer, Key

from nodeagent.pod.errors import PodConfigError
from nodeagent.pod.volumes_spec import referenced
from nodeagent.tokens import Tokens

SYNC_TIMEOUT_S = 10.0

Reference = tuple[str, str, str]
"""Kind, namespace and name."""


@dataclass
class _Followed:
    informer: Informer[ConfigMap] | Informer[Secret]
    task: asyncio.Task[None]
    users: set[str] = field(default_factory=set)


class ReferencedObjects:
    """Follows what pods refer to. `on_change(uid)` is called for every pod whose objects changed."""

    def __init__(self, api: Api, clock: Clock, on_change: Callable[[str], None]) -> None:
        self._api = api
        self._clock = clock
        self._on_change = on_change
        self._tokens = Tokens(api, clock, on_change)
        self._followed: dict[Reference, _Followed] = {}
        self._needs: dict[str, frozenset[Reference]] = {}

    def follow(self, pod: Pod) -> None:
        """Follows everything that the pod refers to, and nothing that it referred to before. Idempotent."""
        config_maps, secrets = referenced(pod)
        namespace, uid = pod.metadata.namespace, pod.metadata.uid
        wanted = frozenset(
            {("ConfigMap", namespace, name) for name in config_maps} | {("Secret", namespace, name) for name in secrets}
        )
        self._set(uid, wanted)
        self._tokens.follow(pod)

    def forget(self, uid: str) -> None:
        """Stops following what only this pod needed."""
        self._set(uid, frozenset())
        self._needs.pop(uid, None)
        self._tokens.forget(uid)

    def _set(self, uid: str, wanted: frozenset[Reference]) -> None:
        before = self._needs.get(uid, frozenset())
        for reference in wanted - before:
            if reference not in self._followed:
                self._followed[reference] = self._start(reference)
            self._followed[reference].users.add(uid)
        for reference in before - wanted:
            followed = self._followed[reference]
            followed.users.discard(uid)
            if not followed.users:
                followed.task.cancel()
                del self._followed[reference]
        self._needs[uid] = wanted

    def _start(self, reference: Reference) -> _Followed:
        kind, namespace, name = reference
        selector = f"metadata.name={name}"
        informer: Informer[ConfigMap] | Informer[Secret]
        if kind == "ConfigMap":
            informer = Informer(self._api.configmaps, namespace=namespace, field_selector=selector, clock=self._clock)
        else:
            informer = Informer(self._api.secrets, namespace=namespace, field_selector=selector, clock=self._clock)

        def changed(_old: Message | None, _new: Message | None) -> None:
            followed = self._followed.get(reference)
            for uid in followed.users if followed is not None else ():
                self._on_change(uid)

        informer.on_change(changed)
        return _Followed(informer, asyncio.create_task(informer.run(), name=f"follow {kind} {namespace}/{name}"))

    async def synced(self, uid: str) -> bool:
        """Waits until everything the pod refers to has been read once; False when that takes too long."""
        try:
            async with asyncio.timeout(SYNC_TIMEOUT_S):
                for reference in self._needs.get(uid, frozenset()):
                    followed = self._followed.get(reference)
                    if followed is not None:
                        await followed.informer.synced()
                await self._tokens.tried(uid)
        except TimeoutError:
            return False
        return True

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        """The ConfigMap as last seen; None when there is none."""
        found = self._find(("ConfigMap", namespace, name))
        return found if isinstance(found, ConfigMap) else None

    def secret(self, namespace: str, name: str) -> Secret | None:
        """The Secret as last seen; None when there is none."""
        found = self._find(("Secret", namespace, name))
        return found if isinstance(found, Secret) else None

    def token(self, uid: str, audience: str, seconds: int) -> bytes | None:
        """A token of the pod's service account; None when there is none yet.

        Raises:
            PodConfigError: the apiserver refuses to give one; it says why.
        """
        token = self._tokens.get(uid, audience, seconds)
        problem = self._tokens.problem(uid)
        if token is None and problem:
            raise PodConfigError(f"no token for the pod: {problem}")
        return token

    def _find(self, reference: Reference) -> ConfigMap | Secret | None:
        followed = self._followed.get(reference)
        return followed.informer.get(Key(reference[1], reference[2])) if followed is not None else None

    def close(self) -> None:
        """Stops following everything."""
        self._tokens.close()
        for followed in self._followed.values():
            followed.task.cancel()
        self._followed.clear()
