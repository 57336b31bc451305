"""What objects count for against ResourceQuotas: pure functions, the same for whoever admits and whoever recounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import chain
from typing import Any

from steersman import quantity
from steersman.qos import BEST_EFFORT, qos_class

Usage = dict[str, Decimal]
"""Amounts by the name that a quota bounds them by."""

COUNT = "count/"
STORAGE_CLASS = ".storageclass.storage.k8s.io/"
# Kinds of the core group whose plural is itself the name of what is bounded.
COUNTED = frozenset(
    {
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
    }
)
_REQUESTS = ("cpu", "memory", "ephemeral-storage")
FINISHED = ("Succeeded", "Failed")
_MUST_SAY = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


def usage(resource: str, obj: Any) -> Usage:
    """What an object counts for.

    Args:
        resource: qualified plural of its kind, "deployments.apps".
        obj: the object.
    """
    found: Usage = {f"{COUNT}{resource}": Decimal(1)}
    if resource in COUNTED and resource != "pods":
        found[resource] = Decimal(1)
    if resource == "pods":
        # What has ended uses nothing of a node any more; the object itself is still there.
        if obj.status.phase not in FINISHED:
            found |= _of_pod(obj)
    elif resource == "services":
        found |= _of_service(obj)
    elif resource == "persistentvolumeclaims":
        found |= _of_claim(obj)
    return found


def _of_pod(pod: Any) -> Usage:
    found: Usage = {"pods": Decimal(1)}
    for name, amount in pod_amounts(pod.spec, "requests").items():
        if name in _REQUESTS:
            found[name] = amount
        found[f"requests.{name}"] = amount
    for name, amount in pod_amounts(pod.spec, "limits").items():
        found[f"limits.{name}"] = amount
    return found


def _of_service(service: Any) -> Usage:
    spec = service.spec
    found: Usage = {}
    if spec.type in ("NodePort", "LoadBalancer"):
        allocates = not spec.HasField("allocate_load_balancer_node_ports") or spec.allocate_load_balancer_node_ports
        if spec.type == "NodePort" or allocates:
            found["services.nodeports"] = Decimal(len(spec.ports))
        elif any(port.node_port for port in spec.ports):
            found["services.nodeports"] = Decimal(sum(1 for port in spec.ports if port.node_port))
    if spec.type == "LoadBalancer":
        found["services.loadbalancers"] = Decimal(1)
    return found


def _of_claim(claim: Any) -> Usage:
    asked = _amount(claim.spec.resources.requests, "storage")
    found: Usage = {"requests.storage": asked}
    if claim.spec.storage_class_name:
        prefix = f"{claim.spec.storage_class_name}{STORAGE_CLASS}"
        found[f"{prefix}requests.storage"] = asked
        found[f"{prefix}persistentvolumeclaims"] = Decimal(1)
    return found


def _amount(amounts: Mapping[str, Any], name: str) -> Decimal:
    try:
        return quantity.parse(amounts[name].value) if name in amounts else Decimal(0)
    except quantity.QuantityError:
        return Decimal(0)


def _part(container: Any, part: str) -> Usage:
    amounts = getattr(container.resources, part)
    found = {name: _amount(amounts, name) for name in amounts}
    if part == "requests":
        # A limit without a request is a request as well.
        for name in container.resources.limits:
            found.setdefault(name, _amount(container.resources.limits, name))
    return found


def _add(one: Usage, other: Usage) -> Usage:
    return {name: one.get(name, Decimal(0)) + other.get(name, Decimal(0)) for name in {*one, *other}}


def _max(one: Usage, other: Usage) -> Usage:
    return {name: max(one.get(name, Decimal(0)), other.get(name, Decimal(0))) for name in {*one, *other}}


def pod_amounts(spec: Any, part: str) -> Usage:
    """What a pod asks for in all, "requests" or "limits": what runs together is added, what runs before is compared."""
    together: Usage = {}
    for container in spec.containers:
        together = _add(together, _part(container, part))
    sidecars: Usage = {}
    before: Usage = {}
    for container in spec.init_containers:
        if container.restart_policy == "Always":
            sidecars = _add(sidecars, _part(container, part))
            before = _max(before, sidecars)
        else:
            before = _max(before, _add(sidecars, _part(container, part)))
    found = _max(_add(together, sidecars), before)
    for name in getattr(spec.resources, part):
        # Said for the pod as a whole, it is what counts.
        found[name] = _amount(getattr(spec.resources, part), name)
    for name in spec.overhead:
        if part == "requests" or name in found:
            found[name] = found.get(name, Decimal(0)) + _amount(spec.overhead, name)
    return found


def unsaid(pod: Any, names: Iterable[str]) -> list[str]:
    """Of what a quota bounds: what the pod has to say of every container and does not."""
    missing: list[str] = []
    for name in names:
        if name not in _MUST_SAY:
            continue
        resource = name.removeprefix("requests.").removeprefix("limits.")
        limits = name.startswith("limits.")
        for container in chain(pod.spec.init_containers, pod.spec.containers):
            said = resource in container.resources.limits or (not limits and resource in container.resources.requests)
            whole = pod.spec.resources
            said = said or resource in whole.limits or (not limits and resource in whole.requests)
            if not said:
                missing.append(name)
                break
    return missing


def kinds_of(names: Iterable[str]) -> set[str]:
    """The qualified plurals of kinds whose objects count for some names."""
    found: set[str] = set()
    for name in names:
        if name.startswith(COUNT):
            found.add(name.removeprefix(COUNT))
        elif name in COUNTED:
            found.add(name)
        elif name.startswith("services."):
            found.add("services")
        elif STORAGE_CLASS in name or name == "requests.storage":
            found.add("persistentvolumeclaims")
        else:
            found.add("pods")
    return found


def applies(quota: Any, resource: str, obj: Any) -> bool:
    """Whether a quota counts an object; quotas with scopes count pods only, and those that are within all of them."""
    scopes = [(scope, "Exists", frozenset[str]()) for scope in quota.spec.scopes]
    scopes += [
        (each.scope_name, each.operator, frozenset(each.values)) for each in quota.spec.scope_selector.match_expressions
    ]
    if not scopes:
        return True
    if resource != "pods":
        return False
    return all(_within(obj, *scope) for scope in scopes)


def _within(pod: Any, scope: str, operator: str, values: frozenset[str]) -> bool:
    spec = pod.spec
    if scope in ("Terminating", "NotTerminating"):
        return bool(spec.HasField("active_deadline_seconds")) == (scope == "Terminating")
    if scope in ("BestEffort", "NotBestEffort"):
        return (qos_class(spec) == BEST_EFFORT) == (scope == "BestEffort")
    if scope == "PriorityClass":
        name = spec.priority_class_name
        if operator in ("Exists", "DoesNotExist"):
            return bool(name) == (operator == "Exists")
        return (name in values) == (operator == "In")
    if scope == "CrossNamespacePodAffinity":
        return _looks_elsewhere(spec.affinity)
    return False


def _looks_elsewhere(affinity: Any) -> bool:
    for part in (affinity.pod_affinity, affinity.pod_anti_affinity):
        terms = list(part.required_during_scheduling_ignored_during_execution)
        terms += [each.pod_affinity_term for each in part.preferred_during_scheduling_ignored_during_execution]
        if any(term.namespaces or term.HasField("namespace_selector") for term in terms):
            return True
    return False


def counted(quota: Any, objects: Iterable[tuple[str, Any]]) -> Usage:
    """What is used of everything that a quota bounds, by objects given with the qualified plural of their kind."""
    used: Usage = {name: Decimal(0) for name in quota.spec.hard}
    for resource, obj in objects:
        if applies(quota, resource, obj):
            for name, amount in usage(resource, obj).items():
                if name in used:
                    used[name] += amount
    return used


def shown(name: str, amount: Decimal) -> str:
    """An amount as a quota's status shows it: what is counted in bytes, in powers of two."""
    return quantity.show(amount, binary=name.endswith(("memory", "storage")))
