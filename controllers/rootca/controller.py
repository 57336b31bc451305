"""Observes namespaces and the ConfigMap kube-root-ca.crt in each; makes it what it should be."""

from __future__ import annotations

from typing import Any

from steersman import errors
from steersman.core.v1.config_map_pb2 import ConfigMap
from steersman.core.v1.namespace_pb2 import Namespace
from steersman.informer import Key
from steersman.runtime import Runtime

MANAGER = "root-ca-cert-publisher"
NAME, FILE = "kube-root-ca.crt", "ca.crt"


class RootCAPublisher:
    """One key per namespace."""

    def __init__(self, runtime: Runtime, authority: str) -> None:
        """Makes it; `authority` is PEM."""
        self._api = runtime.api
        self._namespaces = runtime.informer(Namespace)
        self._config_maps = runtime.informer(ConfigMap)
        self._authority = authority
        runtime.reconciler(Namespace, watches={ConfigMap: self._altered}, name="rootca", workers=2)(self.reconcile)

    def _altered(self, old: Any, new: Any) -> list[Key]:
        changed = new if new is not None else old
        is_wrong = changed.metadata.name == NAME and (new is None or new.data.get(FILE) != self._authority)
        return [Key("", changed.metadata.namespace)] if is_wrong else []

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
