"""Observes namespaces and the ConfigMap kube-root-ca.crt in each; makes it what it should be."""

from __future__ import annotations

from typing import Any

from steersman import errors
from steersman.client import Api
from steersman.clock import Clock
from steersman.core.v1.config_map_pb2 import ConfigMap
from steersman.core.v1.namespace_pb2 import Namespace
from steersman.informer import Informer, Key, key_of
from steersman.reconcile import Controller, Metrics

MANAGER = "root-ca-cert-publisher"
NAME, FILE = "kube-root-ca.crt", "ca.crt"


class RootCAPublisher:
    """One key per namespace."""

    def __init__(
        self,
        api: Api,
        namespaces: Informer[Namespace],
        config_maps: Informer[ConfigMap],
        authority: str,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """Makes it; `authority` is PEM."""
        self._api = api
        self._namespaces = namespaces
        self._config_maps = config_maps
        self._authority = authority
        self.controller: Controller[Key] = Controller("rootca", self.reconcile, workers=2, clock=clock, metrics=metrics)
        namespaces.on_change(lambda old, new: self.controller.enqueue(key_of(new if new is not None else old)))
        config_maps.on_change(self._config_map_changed)

    def _config_map_changed(self, old: Any, new: Any) -> None:
        changed = new if new is not None else old
        if changed.metadata.name == NAME and (new is None or new.data.get(FILE) != self._authority):
            self.controller.enqueue(Key("", changed.metadata.namespace))

    async def reconcile(self, key: Key) -> None:
        """Publishes the authority in a namespace that stays."""
        namespace = self._namespaces.get(key)
        if namespace is None or namespace.metadata.HasField("deletion_timestamp"):
            return
        known = self._config_maps.get(Key(key.name, NAME))
        if known is not None and known.data.get(FILE) == self._authority:
            return
        wanted = ConfigMap(data={FILE: self._authority})
        wanted.metadata.name, wanted.metadata.namespace = NAME, key.name
        try:
            if known is None:
                await self._api.configmaps.create(wanted, field_manager=MANAGER)
            else:
                await self._api.configmaps.update(wanted, field_manager=MANAGER)
        except (errors.AlreadyExists, errors.NotFound, errors.FailedPrecondition):
            # It changed meanwhile, which is told; or the namespace is going.
            return
