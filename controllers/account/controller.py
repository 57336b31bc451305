"""Observes namespaces and service accounts; makes the account `default` where it is missing."""

from __future__ import annotations

from typing import Any

import structlog
from steersman import errors
from steersman.core.v1.namespace_pb2 import Namespace
from steersman.core.v1.service_account_pb2 import ServiceAccount
from steersman.informer import Key
from steersman.runtime import Runtime

log = structlog.get_logger(__name__)

MANAGER = "service-account-controller"
NAME = "default"


class ServiceAccountController:
    """One key per namespace."""

    def __init__(self, runtime: Runtime) -> None:
        self._api = runtime.api
        self._namespaces = runtime.informer(Namespace)
        self._accounts = runtime.informer(ServiceAccount)
        runtime.reconciler(Namespace, watches={ServiceAccount: self._missed}, name="serviceaccount", workers=2)(
            self.reconcile
        )

    def _missed(self, old: Any, new: Any) -> list[Key]:
        return [Key("", old.metadata.namespace)] if new is None and old.metadata.name == NAME else []

    async def reconcile(self, key: Key) -> None:
        """Makes the account of a namespace that stays."""
        namespace = self._namespaces.get(key)
        if namespace is None or namespace.metadata.HasField("deletion_timestamp"):
            return
        if self._accounts.get(Key(key.name, NAME)) is not None:
            return
        account = ServiceAccount()
        account.metadata.name, account.metadata.namespace = NAME, key.name
        try:
            await self._api.serviceaccounts.create(account, field_manager=MANAGER)
        except (errors.AlreadyExists, errors.NotFound, errors.FailedPrecondition):
            # Somebody was faster, or the namespace is going.
            return
        log.info("made the default service account", namespace=key.name)
