"""LimitRanger: fills in what containers do not ask for, and keeps pods and claims within the limits of a namespace."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from steersman import quantity, quotas
from steersman.core.v1.limit_range_pb2 import LimitRange
from steersman.qos import qos_class

from apiserver import errors
from apiserver.admission.port import CREATE, UPDATE, Admission
from apiserver.registry import Registry

Amounts = dict[str, Decimal]


class LimitRanger:
    """Applies every LimitRange of the namespace."""

    def __init__(self, ranges: Registry) -> None:
        self._ranges = ranges

    async def admit(self, write: Admission) -> None:
        """See `Plugin.admit`."""
        kind = write.kind.kind
        if write.kind.group or kind not in ("Pod", "PersistentVolumeClaim") or write.operation not in (CREATE, UPDATE):
            return
        if write.operation == UPDATE and (kind == "Pod" or write.old is None or write.obj.spec == write.old.spec):
            return
        prefix = self._ranges.key(write.obj.metadata.namespace, "")
        cache = self._ranges.cache
        for key in [key for key in cache.keys() if key.startswith(prefix)]:  # noqa: SIM118
            entry = cache.get(key)
            if entry is None:
                continue
            limits = LimitRange.FromString(entry.data)
            if kind == "Pod":
                for item in limits.spec.limits:
                    if item.type == "Container":
                        fill_in(write.obj.spec, item)
                # What a pod asks for decides its class of service.
                write.obj.status.qos_class = qos_class(write.obj.spec)
            wrong = list(_wrong(kind, write.obj, limits))
            if wrong:
                name = write.obj.metadata.name or write.obj.metadata.generate_name
                raise errors.Refused(f"LimitRange {entry.name!r}", write.kind.qualified_plural, name, "; ".join(wrong))


def fill_in(spec: Any, item: Any) -> None:
    """Gives containers the requests and limits that they do not state; who limits itself requests what it limits."""
    for container in (*spec.init_containers, *spec.containers):
        resources = container.resources
        limited = set(resources.limits)
        for name, amount in item.default.items():
            if name not in resources.limits:
                resources.limits[name].value = amount.value
        for name, amount in item.default_request.items():
            if name not in resources.requests and name not in limited:
                resources.requests[name].value = amount.value


def _wrong(kind: str, obj: Any, limits: Any) -> Iterator[str]:
    for item in limits.spec.limits:
        if kind == "PersistentVolumeClaim" and item.type == kind:
            asked = _amounts(obj.spec.resources.requests)
            yield from _outside("claim", item, asked, {})
        elif kind == "Pod" and item.type == "Pod":
            requests = quotas.pod_amounts(obj.spec, "requests")
            yield from _outside("pod", item, requests, quotas.pod_amounts(obj.spec, "limits"))
        elif kind == "Pod" and item.type == "Container":
            for container in (*obj.spec.init_containers, *obj.spec.containers):
                requests, maxima = _amounts(container.resources.requests), _amounts(container.resources.limits)
                for name, amount in maxima.items():
                    requests.setdefault(name, amount)
                yield from _outside(f"container {container.name!r}", item, requests, maxima)


def _amounts(amounts: Any) -> Amounts:
    found: Amounts = {}
    for name, amount in amounts.items():
        try:
            found[name] = quantity.parse(amount.value)
        except quantity.QuantityError:
            # Validation says so.
            continue
    return found


def _outside(what: str, item: Any, requests: Amounts, maxima: Amounts) -> Iterator[str]:
    """What of an item's bounds is not kept: requests may not be too small, neither of the two too large."""
    claim = item.type == "PersistentVolumeClaim"
    for name, bound in item.min.items():
        asked = requests.get(name)
        if asked is None:
            yield f"{what} must ask for at least {bound.value} of {name}"
        elif asked < quantity.parse(bound.value):
            yield f"{what} asks for {quotas.shown(name, asked)} of {name}, at least {bound.value} is wanted"
    for name, bound in item.max.items():
        most = quantity.parse(bound.value)
        if not claim and name not in maxima:
            yield f"{what} must limit {name} to at most {bound.value}"
        for asked in {requests.get(name, Decimal(0)), maxima.get(name, Decimal(0))}:
            if asked > most:
                yield f"{what} asks for {quotas.shown(name, asked)} of {name}, at most {bound.value} is allowed"
    for name, bound in item.max_limit_request_ratio.items():
        request, maximum = requests.get(name, Decimal(0)), maxima.get(name, Decimal(0))
        if not request or not maximum:
            yield f"{what} must both request and limit {name}, by a ratio of at most {bound.value}"
        elif maximum / request > quantity.parse(bound.value):
            yield f"{what} limits {name} to more than {bound.value} times its request"
