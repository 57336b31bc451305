"""What exists in every cluster from the start: the namespaces, and the Service by which pods find the apiserver."""

from __future__ import annotations

from typing import Any

import structlog
from steersman.core.v1.namespace_pb2 import Namespace
from steersman.core.v1.service_pb2 import Service
from steersman.discovery.v1.endpoint_slice_pb2 import EndpointSlice
from steersman.meta.v1.requests_pb2 import WriteOptions
from steersman.scheduling.v1.priority_class_pb2 import PriorityClass
from steersman.validation.limits import SYSTEM_PRIORITIES

from apiserver import errors
from apiserver.authn import MASTERS, User
from apiserver.registry import Registry

log = structlog.get_logger(__name__)

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_USER = User("system:apiserver", (MASTERS,))
_OPTIONS = WriteOptions(field_manager="apiserver")


async def ensure(
    namespaces: Registry,
    services: Registry,
    slices: Registry,
    classes: Registry,
    *,
    address: str,
    port: int,
    cluster_ip: str,
) -> None:
    """Creates what is missing; idempotent, and safe beside other apiservers that do the same.

    Args:
        namespaces: the registry of namespaces.
        services: the registry of Services.
        slices: the registry of EndpointSlices.
        classes: the registry of PriorityClasses.
        address: where this apiserver is reached; empty: pods are told of none.
        port: the port there.
        cluster_ip: address of the Service `kubernetes`.
    """
    for name in NAMESPACES:
        namespace = Namespace()
        namespace.metadata.name = name
        await _create(namespaces, namespace)
    for name, value in SYSTEM_PRIORITIES.items():
        priority = PriorityClass(value=value, description="For pods without which the cluster does not work.")
        priority.metadata.name = name
        await _create(classes, priority)
    if not address:
        return
    service = Service()
    service.metadata.name, service.metadata.namespace = "kubernetes", "default"
    service.metadata.labels.update({"component": "apiserver", "provider": "kubernetes"})
    service.spec.cluster_ip = cluster_ip
    service.spec.ports.add(name="grpc", port=port)
    await _create(services, service)
    endpoints = EndpointSlice(address_type="IPv4")
    endpoints.metadata.name, endpoints.metadata.namespace = "kubernetes", "default"
    endpoints.metadata.labels["kubernetes.io/service-name"] = "kubernetes"
    endpoints.ports.add(name="grpc", port=port, protocol="TCP")
    endpoint = endpoints.endpoints.add(addresses=[address])
    endpoint.conditions.ready = True

    async def add_self(old: Any) -> Any:
        if not any(address in known.addresses for known in old.endpoints):
            old.endpoints.add().CopyFrom(endpoint)
        return old

    try:
        await slices.create(_USER, endpoints, _OPTIONS)
    except errors.ObjectExists:
        await slices.modify(_USER, "default", "kubernetes", add_self, _OPTIONS)


async def _create(registry: Registry, obj: Any) -> None:
    try:
        await registry.create(_USER, obj, _OPTIONS)
    except errors.ObjectExists:
        return
    log.info("created", resource=registry.resource, name=obj.metadata.name)
