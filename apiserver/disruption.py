"""Whether a pod may be evicted now, and what that costs its budget. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from steersman import selectors

from apiserver import errors

# How many evictions may be granted and not yet seen by the disruption controller.
DISRUPTED_PODS_MAX = 2000
RETRY_S = 10.0
ALWAYS_ALLOW = "AlwaysAllow"
DISRUPTION_ALLOWED, SYNC_FAILED = "DisruptionAllowed", "SyncFailed"


def needs_no_budget(pod: Any) -> bool:
    """Whether a pod serves nobody, so that nobody misses it."""
    return pod.status.phase in ("Pending", "Succeeded", "Failed") or pod.metadata.HasField("deletion_timestamp")


def budget_of(pod: Any, budgets: Iterable[Any]) -> Any | None:
    """The budget that a pod counts against; None when there is none.

    Raises:
        NotPossible: there are several, and nobody knows which one says what.
    """
    mine = []
    for budget in budgets:
        if not budget.spec.HasField("selector"):
            continue
        try:
            if selectors.of_message(budget.spec.selector).matches(pod.metadata.labels):
                mine.append(budget)
        except selectors.SelectorError:
            continue
    if len(mine) > 1:
        names = ", ".join(sorted(budget.metadata.name for budget in mine))
        raise errors.NotPossible(f"pod {pod.metadata.name!r} has more than one PodDisruptionBudget: {names}")
    return mine[0] if mine else None


def is_free(pod: Any, budget: Any) -> bool:
    """Whether a pod may go without being counted: it is not ready, and so no disruption."""
    if any(condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions):
        return False
    if budget.spec.unhealthy_pod_eviction_policy == ALWAYS_ALLOW:
        return True
    status = budget.status
    return bool(status.desired_healthy > 0 and status.current_healthy >= status.desired_healthy)


def charge(budget: Any, pod_name: str, now: Timestamp) -> None:
    """Counts the eviction of a pod in the budget's status.

    Raises:
        DisruptionRefused: the budget allows none now.
    """
    name, status = budget.metadata.name, budget.status
    if status.observed_generation < budget.metadata.generation:
        raise errors.DisruptionRefused(pod_name, name, "its last change is still to be looked at", RETRY_S)
    if len(status.disrupted_pods) >= DISRUPTED_PODS_MAX and pod_name not in status.disrupted_pods:
        raise errors.DisruptionRefused(pod_name, name, f"{len(status.disrupted_pods)} evictions are under way", RETRY_S)
    if status.disruptions_allowed <= 0:
        raise errors.DisruptionRefused(pod_name, name, _why_none(status), 0.0)
    status.disruptions_allowed -= 1
    status.disrupted_pods[pod_name].CopyFrom(now)
    if status.disruptions_allowed == 0:
        _set_condition(status, budget.metadata.generation, now)


def _why_none(status: Any) -> str:
    found = next((each for each in status.conditions if each.type == DISRUPTION_ALLOWED), None)
    if found is not None and found.status == "False" and found.reason == SYNC_FAILED:
        # The numbers say nothing then.
        return f"its pods could not be counted: {found.message}"
    return f"it needs {status.desired_healthy} healthy pods and has {status.current_healthy}"


def _set_condition(status: Any, generation: int, now: Timestamp) -> None:
    found = next((each for each in status.conditions if each.type == DISRUPTION_ALLOWED), None)
    condition = found if found is not None else status.conditions.add(type=DISRUPTION_ALLOWED)
    if condition.status != "False":
        condition.last_transition_time.CopyFrom(now)
    condition.status, condition.reason, condition.message = "False", "InsufficientPods", ""
    condition.observed_generation = generation
