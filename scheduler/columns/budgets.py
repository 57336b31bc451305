"""Disruption budgets: how many pods of a group may be pushed out without breaking a promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from steersman.policy.v1 import PodDisruptionBudget
from steersman.selectors import Selector

from scheduler.pod import PodInfo
from scheduler.terms import selector_of


@dataclass(frozen=True)
class Budget:
    """A PodDisruptionBudget.

    Attributes:
        selector: which pods of its namespace it is about.
        allowed: how many of them may go now.
        going: names of pods whose going is counted already.
    """

    selector: Selector
    allowed: int
    going: frozenset[str]


def budget_of(message: PodDisruptionBudget) -> Budget:
    """A budget from its message; one without a selector is about no pod."""
    spec, status = message.spec, message.status
    return Budget(
        selector_of(spec.selector, spec.HasField("selector")),
        status.disruptions_allowed,
        frozenset(status.disrupted_pods),
    )


class Budgets:
    """All budgets, by namespace and name."""

    def __init__(self) -> None:
        self._by_namespace: dict[str, dict[str, Budget]] = {}

    def set(self, namespace: str, name: str, budget: Budget | None) -> None:
        """Takes in a budget; None: it is gone."""
        here = self._by_namespace.setdefault(namespace, {})
        if budget is not None:
            here[name] = budget
        else:
            here.pop(name, None)
            if not here:
                del self._by_namespace[namespace]

    def violations(self, pods: Sequence[PodInfo]) -> list[bool] | None:
        """For each pod, whether its going would break a budget once all before it have gone; None: nobody's would."""
        if not self._by_namespace:
            return None
        left: dict[Budget, int] = {}
        broken = [self._breaks(pod, left) for pod in pods]
        return broken if any(broken) else None

    def _breaks(self, pod: PodInfo, left: dict[Budget, int]) -> bool:
        broken = False
        for budget in self._by_namespace.get(pod.namespace, {}).values():
            if pod.name not in budget.going and budget.selector.matches(pod.template.labels):
                left[budget] = left.get(budget, budget.allowed) - 1
                broken |= left[budget] < 0
        return broken
