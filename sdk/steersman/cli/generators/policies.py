"""Namespaces, quotas, budgets for disruption, priorities and autoscalers out of a few words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.cli.failures import USAGE, CommandError
from steersman.cli.generators import Data, base, commas, number_or_text, pairs


def namespace(name: str) -> Data:
    """A Namespace."""
    return base("v1", "Namespace", name)


def quota(name: str, hard: Sequence[str], scopes: Sequence[str]) -> Data:
    """A ResourceQuota."""
    made = base("v1", "ResourceQuota", name)
    spec: Data = {}
    if hard:
        spec["hard"] = pairs(hard, "--hard")
    if scopes:
        spec["scopes"] = commas(scopes)
    return made | {"spec": spec}


def budget(name: str, selector: str, min_available: str, max_unavailable: str) -> Data:
    """A PodDisruptionBudget.

    Raises:
        CommandError: it has no bound or both, no selector, or one that is none.
    """
    from steersman import selectors

    if bool(min_available) == bool(max_unavailable):
        raise CommandError("how many? either --min-available or --max-unavailable", USAGE)
    if not selector:
        raise CommandError("for which pods? --selector QUERY", USAGE)
    try:
        requirements = selectors.parse(selector).requirements
    except selectors.SelectorError as error:
        raise CommandError(f"--selector: {error}", USAGE) from error
    labels: dict[str, str] = {}
    expressions: list[Data] = []
    for each in requirements:
        if each.operator == "In" and len(each.values) == 1 and each.key not in labels:
            labels[each.key] = next(iter(each.values))
        elif each.operator in ("In", "NotIn", "Exists", "DoesNotExist"):
            values = {"values": sorted(each.values)} if each.values else {}
            expressions.append({"key": each.key, "operator": each.operator, **values})
        else:
            raise CommandError(f"--selector: a budget cannot have {each}", USAGE)
    spec: Data = {"selector": {}}
    if labels:
        spec["selector"]["matchLabels"] = labels
    if expressions:
        spec["selector"]["matchExpressions"] = expressions
    if min_available:
        spec["minAvailable"] = number_or_text(min_available)
    else:
        spec["maxUnavailable"] = number_or_text(max_unavailable)
    return base("policy/v1", "PodDisruptionBudget", name) | {"spec": spec}


def priority_class(name: str, value: int, *, is_default: bool, description: str, preemption: str) -> Data:
    """A PriorityClass."""
    made = base("scheduling.k8s.io/v1", "PriorityClass", name) | {"value": value}
    if is_default:
        made["globalDefault"] = True
    if description:
        made["description"] = description
    return made | {"preemptionPolicy": preemption}


def autoscaler(name: str, target: Data, *, least: int | None, most: int, cpu: str = "", memory: str = "") -> Data:
    """A HorizontalPodAutoscaler of an object (as plain data).

    Raises:
        CommandError: the bounds make no sense.
    """
    if most < 1:
        raise CommandError("--max is at least 1", USAGE)
    if least is not None and least > most:
        raise CommandError(f"--min {least} is more than --max {most}", USAGE)
    spec: Data = {
        "scaleTargetRef": {
            "apiVersion": target["apiVersion"],
            "kind": target["kind"],
            "name": target["metadata"]["name"],
        },
        "maxReplicas": most,
    }
    if least is not None:
        spec["minReplicas"] = least
    metrics = [_metric(resource, text) for resource, text in (("cpu", cpu), ("memory", memory)) if text]
    if metrics:
        spec["metrics"] = metrics
    return base("autoscaling/v2", "HorizontalPodAutoscaler", name) | {"spec": spec}


def _metric(resource: str, text: str) -> Data:
    """How busy pods are to be: "80%" of what they ask for, or "500m" each."""
    share = text.removesuffix("%")
    if share != text or (resource == "cpu" and text.isdecimal()):
        if not share.isdecimal() or int(share) < 1:
            raise CommandError(f"--{resource} {text!r} is not a share such as 80%, or an amount such as 500m", USAGE)
        target: Data = {"type": "Utilization", "averageUtilization": int(share)}
    else:
        target = {"type": "AverageValue", "averageValue": text}
    return {"type": "Resource", "resource": {"name": resource, "target": target}}
