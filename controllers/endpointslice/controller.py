"""Observes Services and pods, and writes slices."""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from steersman import errors
from steersman.core.v1.node_pb2 import Node
from steersman.core.v1.pod_pb2 import Pod
from steersman.core.v1.service_pb2 import Service
from steersman.discovery.v1.endpoint_slice_pb2 import EndpointSlice
from steersman.informer import Key, key_of
from steersman.reconcile import Result
from steersman.runtime import Runtime
from steersman.selectors import of_map

from controllers.endpointslice import plan as planning
from controllers.endpointslice.plan import MANAGED_BY, MANAGED_BY_LABEL, SERVICE_LABEL, CreateSlice, UpdateSlice

log = structlog.get_logger(__name__)

MANAGER = "endpointslice-controller"
BY_NAMESPACE, BY_SERVICE = "namespace", "service"


class EndpointSliceController:
    """Keeps the EndpointSlices of Services that have a selector."""

    def __init__(self, runtime: Runtime) -> None:
        self._api = runtime.api
        self._services = runtime.informer(Service)
        self._pods = runtime.informer(Pod)
        self._slices = runtime.informer(EndpointSlice)
        self._nodes = runtime.informer(Node)
        self._written: dict[Key, str] = {}
        self._services.add_index(BY_NAMESPACE, lambda service: [service.metadata.namespace])
        self._pods.add_index(BY_NAMESPACE, lambda pod: [pod.metadata.namespace])
        self._slices.add_index(BY_SERVICE, _service_of)
        runtime.reconciler(Service, watches={Pod: self._selecting, EndpointSlice: self._sliced}, name="endpointslice")(
            self.reconcile
        )

    def _selecting(self, old: Pod | None, new: Pod | None) -> Iterator[Key]:
        """The Services that select a pod, as it was or as it is."""
        pod = new if new is not None else old
        assert pod is not None
        before = old.metadata.labels if old is not None else {}
        after = new.metadata.labels if new is not None else {}
        for service in self._services.by_index(BY_NAMESPACE, pod.metadata.namespace):
            if service.spec.selector:
                selector = of_map(service.spec.selector)
                if selector.matches(before) or selector.matches(after):
                    yield key_of(service)

    def _sliced(self, old: EndpointSlice | None, new: EndpointSlice | None) -> list[Key]:
        changed = new if new is not None else old
        assert changed is not None
        return [Key(changed.metadata.namespace, name.partition("/")[2]) for name in _service_of(changed)]

    async def reconcile(self, key: Key) -> Result | None:
        """Brings one Service's slices to where its pods are."""
        service = self._services.get(key)
        slices = self._slices.by_index(BY_SERVICE, str(key))
        stale = self._written.get(key)
        if stale is not None and not any(s.metadata.resource_version == stale for s in slices):
            # Our last write has not come back yet; deciding on the state before it would undo or repeat it.
            known = max((int(s.metadata.resource_version) for s in slices), default=0)
            if known < int(stale):
                del self._written[key]
                return Result(requeue_after_s=0.02)
        self._written.pop(key, None)
        pods = []
        if service is not None and service.spec.selector:
            selector = of_map(service.spec.selector)
            candidates = self._pods.by_index(BY_NAMESPACE, key.namespace)
            pods = [pod for pod in candidates if selector.matches(pod.metadata.labels)]
        zones = {n.metadata.name: n.metadata.labels.get(planning.ZONE_LABEL, "") for n in self._nodes.list()}
        for action in planning.plan(service, pods, slices, zones):
            endpoints = [address for endpoint in action.slice.endpoints for address in endpoint.addresses]
            log.debug("slice", of=str(key), action=type(action).__name__, endpoints=endpoints)
            match action:
                case CreateSlice(wanted):
                    written = await self._api.endpointslices.create(wanted, field_manager=MANAGER)
                    self._written[key] = written.metadata.resource_version
                case UpdateSlice(wanted):
                    written = await self._api.endpointslices.update(wanted, field_manager=MANAGER)
                    self._written[key] = written.metadata.resource_version
                case planning.DeleteSlice(unwanted):
                    await self._delete(unwanted)
        return None

    async def _delete(self, unwanted: EndpointSlice) -> None:
        metadata = unwanted.metadata
        try:
            await self._api.endpointslices.delete(metadata.name, namespace=metadata.namespace, uid=metadata.uid)
        except (errors.NotFound, errors.Conflict):
            return


def _service_of(one: EndpointSlice) -> list[str]:
    """The key of the Service that this controller keeps a slice for; nothing for slices that others keep."""
    labels = one.metadata.labels
    if labels.get(MANAGED_BY_LABEL) != MANAGED_BY or SERVICE_LABEL not in labels:
        return []
    return [str(Key(one.metadata.namespace, labels[SERVICE_LABEL]))]
