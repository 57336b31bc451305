"""Observes Secrets that are bootstrap tokens; deletes those that have expired, at the moment they do."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from steersman import errors
from steersman.core.v1.secret_pb2 import Secret
from steersman.informer import Key
from steersman.reconcile import Result
from steersman.runtime import Runtime

log = structlog.get_logger(__name__)

NAMESPACE = "kube-system"
TYPE = "bootstrap.kubernetes.io/token"


def expiry(secret: Any) -> datetime | None:
    """When a token expires; None: never, or it does not say so in a way that can be read."""
    try:
        moment = datetime.fromisoformat(secret.data.get("expiration", b"").decode())
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _is_token(_old: Any, new: Any) -> bool:
    return new is not None and new.type == TYPE and new.metadata.namespace == NAMESPACE


class TokenCleaner:
    """One key per Secret."""

    def __init__(self, runtime: Runtime) -> None:
        self._api = runtime.api
        self._secrets = runtime.informer(Secret)
        self._clock = runtime.clock
        runtime.reconciler(Secret, when=_is_token, name="tokencleaner", workers=1)(self.reconcile)

    async def reconcile(self, key: Key) -> Result | None:
        """Deletes a token that has expired; otherwise looks again when it does."""
        secret = self._secrets.get(key)
        end = expiry(secret) if secret is not None and secret.type == TYPE else None
        if secret is None or end is None:
            return None
        left_s = (end - self._clock.now()).total_seconds()
        if left_s > 0:
            return Result(requeue_after_s=min(left_s + 0.1, 3600.0))
        try:
            await self._api.secrets.delete(key.name, namespace=key.namespace, uid=secret.metadata.uid)
        except (errors.NotFound, errors.Conflict):
            return None
        log.info("deleted an expired bootstrap token", name=key.name)
        return None
