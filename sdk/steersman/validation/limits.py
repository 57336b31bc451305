"""Rules of ResourceQuotas, LimitRanges and PriorityClasses."""

from __future__ import annotations

import itertools
import re
from typing import Any

from steersman import quantity
from steersman.errors import FieldViolation
from steersman.validation.meta import one_of
from steersman.validation.names import label_key, show, violation

PRIORITY_MAX = 1_000_000_000
SYSTEM_PREFIX = "system-"
SYSTEM_PRIORITIES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
POLICIES = ("PreemptLowerPriority", "Never")
SCOPES = (
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
)
# What a quota may bound besides "count/..." and resources with a prefix.
QUOTA_NAMES = frozenset(
    {
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "requests.storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "services",
        "services.nodeports",
        "services.loadbalancers",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
    }
)
# Quotas with these scopes count pods and what pods ask for, and nothing else.
POD_NAMES = frozenset(
    {
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "count/pods",
    }
)
TYPES = ("Container", "Pod", "PersistentVolumeClaim")
_COUNT = re.compile(r"count/[a-z][-a-z0-9]*(?:\.[a-z0-9][-a-z0-9.]*)?")


def _amounts(field: str, amounts: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    for name, amount in amounts.items():
        try:
            if quantity.parse(amount.value) < 0:
                found += violation(f"{field}[{name}]", f"{amount.value} is negative")
        except quantity.QuantityError as error:
            found += violation(f"{field}[{name}]", str(error))
    return found


def _quota_name(field: str, name: str) -> list[FieldViolation]:
    if name in QUOTA_NAMES or _COUNT.fullmatch(name):
        return []
    if "/" in name:
        return label_key(field, name.removeprefix("requests.").rpartition("storageclass.storage.k8s.io/")[0] or name)
    return violation(field, f"{show(name)} is no resource that a quota bounds")


def resource_quota(obj: Any) -> list[FieldViolation]:
    """What is wrong with a ResourceQuota."""
    found: list[FieldViolation] = []
    for name in obj.spec.hard:
        if not name.startswith("count/") and ".storageclass.storage.k8s.io/" in name:
            continue
        found += _quota_name(f"spec.hard[{name}]", name)
    found += _amounts("spec.hard", obj.spec.hard)
    wanted = [("spec.scopes", scope) for scope in obj.spec.scopes]
    for index, each in enumerate(obj.spec.scope_selector.match_expressions):
        at = f"spec.scopeSelector.matchExpressions[{index}]"
        wanted.append((f"{at}.scopeName", each.scope_name))
        operators = ("In", "NotIn", "Exists", "DoesNotExist") if each.scope_name == "PriorityClass" else ("Exists",)
        found += one_of(f"{at}.operator", each.operator, operators)
        if (each.operator in ("In", "NotIn")) != bool(each.values):
            found += violation(f"{at}.values", "required for In and NotIn, and for them alone")
    for field, scope in wanted:
        found += one_of(field, scope, SCOPES)
    scopes = {scope for _, scope in wanted}
    for pair in ({"Terminating", "NotTerminating"}, {"BestEffort", "NotBestEffort"}):
        if pair <= scopes:
            found += violation("spec.scopes", f"{' and '.join(sorted(pair))} exclude each other")
    if scopes & set(SCOPES[:6]):
        for name in obj.spec.hard:
            if name not in POD_NAMES:
                found += violation(f"spec.hard[{name}]", f"a quota with scopes counts pods only, not {show(name)}")
    if "BestEffort" in scopes:
        for name in obj.spec.hard:
            if name in POD_NAMES - {"pods", "count/pods"}:
                found += violation(f"spec.hard[{name}]", "pods of the scope BestEffort ask for nothing")
    return found


def limit_range(obj: Any) -> list[FieldViolation]:
    """What is wrong with a LimitRange."""
    found: list[FieldViolation] = []
    seen: set[str] = set()
    for index, item in enumerate(obj.spec.limits):
        at = f"spec.limits[{index}]"
        if item.type not in TYPES and "/" not in item.type:
            found += violation(f"{at}.type", f"{show(item.type)} is not one of {', '.join(TYPES)}")
        if item.type in seen:
            found += violation(f"{at}.type", f"{item.type} stands twice")
        seen.add(item.type)
        parts = {
            "min": item.min,
            "defaultRequest": item.default_request,
            "default": item.default,
            "max": item.max,
        }
        wrong = [each for name, part in parts.items() for each in _amounts(f"{at}.{name}", part)]
        wrong += _amounts(f"{at}.maxLimitRequestRatio", item.max_limit_request_ratio)
        found += wrong
        if item.type != "Container" and (item.default or item.default_request):
            found += violation(f"{at}.default", f"defaults are for containers, not for type {item.type}")
        if item.type == "PersistentVolumeClaim" and not ("storage" in item.min or "storage" in item.max):
            found += violation(f"{at}.max[storage]", "claims are bounded by their storage: min or max is required")
        if not wrong:
            found += _ordered(at, parts)
            for name, ratio in item.max_limit_request_ratio.items():
                if quantity.parse(ratio.value) < 1:
                    found += violation(f"{at}.maxLimitRequestRatio[{name}]", f"{ratio.value} is below 1")
    return found


def _ordered(at: str, parts: dict[str, Any]) -> list[FieldViolation]:
    """Of each resource: min <= defaultRequest <= default <= max."""
    found: list[FieldViolation] = []
    for name in sorted({name for part in parts.values() for name in part}):
        given = [(label, quantity.parse(part[name].value)) for label, part in parts.items() if name in part]
        for (low_label, low), (high_label, high) in itertools.pairwise(given):
            if low > high:
                found += violation(f"{at}.{low_label}[{name}]", f"it is more than {high_label}")
    return found


def priority_class(obj: Any) -> list[FieldViolation]:
    """What is wrong with a PriorityClass."""
    found: list[FieldViolation] = []
    name = obj.metadata.name
    if name.startswith(SYSTEM_PREFIX):
        if SYSTEM_PRIORITIES.get(name) != obj.value:
            found += violation("metadata.name", f"names that begin with {SYSTEM_PREFIX!r} are the cluster's own")
    elif obj.value > PRIORITY_MAX:
        found += violation("value", f"{obj.value} is more than {PRIORITY_MAX}")
    return found + one_of("preemptionPolicy", obj.preemption_policy, POLICIES)
