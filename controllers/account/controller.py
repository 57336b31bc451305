"""Observes namespaces and service accounts; makes the account `default` where it is missing."""

from __future__ import annotations

from typing import Any

import structlog
from steersman import errors
from steersman.client import Api
from steersman.clock import Clock
from steersman.core.v1.namespace_pb2 import Namespace
from steersman.core.v1.service_account_pb2 import ServiceAccount
from steersman.informer import Informer, Key, key_of
from steersman.reconcile import Controller, Metrics

log = structlog.get_logger(__name__)

MANAGER = "service-account-controller"
NAME = "default"


class ServiceAccountController:
    """One key per namespace."""

    def __init__(
        self,
        api: Api,
        namespaces: Informer[Namespace],
        accounts: Informer[ServiceAccount],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._api = api
        self._namespaces = namespaces
        self._accounts = accounts
        self.controller: Controller[Key] = Controller(
            "serviceaccount", self.reconcile, workers=2, clock=clock, metrics=metrics
        )
        namespaces.on_change(lambda old, new: self.controller.enqueue(key_of(new if new is not None else old)))
        accounts.on_change(self._account_changed)

    def _account_changed(self, old: Any, new: Any) -> None:
        if new is None and old.metadata.name == NAME:
            self.controller.enqueue(Key("", old.metadata.namespace))

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
