"""DefaultPreemption: which pods of lower priority must go so that a pod finds a place.

On each node that could be made to suit, all pods of lower priority are taken away in thought, and then as many as
possible are given back, first those whose going would break a disruption budget, the most important first; those that
cannot be given back are the victims. Among the nodes, the one is chosen where the harm is least: fewest budgets are
broken, then the highest priority among the victims is lowest, then the sum of their priorities, then their number, then
the one whose most important victims have run for the shortest time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scheduler.columns.cluster import Cluster
from scheduler.pod import PodInfo, Template

NAME = "DefaultPreemption"

# So many nodes are examined at most; the vectorised tests before that have picked those with the least important pods.
EXAMINED_MAX = 100
# Makes every priority of a 32-bit integer positive, so that fewer victims of a negative priority are not worse.
PRIORITY_OFFSET = 2**31

NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"
# What is written into the status of a victim before it is deleted.
DISRUPTED, PUSHED_OUT = "DisruptionTarget", "PreemptionByScheduler"
NOT_ALLOWED = "preemption: not eligible due to preemptionPolicy=Never."


@dataclass(frozen=True)
class Preemption:
    """Room for a pod.

    Attributes:
        row: the row of the node.
        node: its name.
        victims: the pods that must go, the most important first.
        violations: how many of them go against a disruption budget.
    """

    row: int
    node: str
    victims: tuple[PodInfo, ...]
    violations: int = 0

    @property
    def uids(self) -> frozenset[str]:
        """The uids of the victims."""
        return frozenset(victim.uid for victim in self.victims)


class Harm(NamedTuple):
    """How bad a preemption is; smaller is better."""

    violations: int
    highest_priority: int
    sum_of_priorities: int
    victims: int
    latest_start: tuple[float, float]


class Victims(NamedTuple):
    """Pods that must go, the most important first, and how many of them go against a disruption budget."""

    pods: tuple[PodInfo, ...]
    violations: int


def pushed_out(pod: PodInfo) -> bool:
    """Whether a pod's status says that it must go for another."""
    return any(
        condition.type == DISRUPTED and condition.status == "True" and condition.reason == PUSHED_OUT
        for condition in pod.message.status.conditions
    )


def importance(pod: PodInfo) -> tuple[int, float, float]:
    """Sorts the most important pods first: the highest priority, then the one that was there first."""
    return -pod.template.priority, pod.started, pod.created


def harm_of(victims: Victims) -> Harm:
    """How bad it is to push these out."""
    pods, violations = victims
    if not pods:
        return Harm(0, -PRIORITY_OFFSET, 0, 0, (0.0, 0.0))
    first = pods[0]
    total = sum(pod.template.priority + PRIORITY_OFFSET for pod in pods)
    return Harm(violations, first.template.priority, total, len(pods), (-first.started, -first.created))


def plan(
    template: Template,
    cluster: Cluster,
    rows: NDArray[np.intp],
    *,
    suits: Callable[[int], bool],
    by_resources_alone: bool,
    spared: Callable[[PodInfo], bool],
    first: int = 0,
) -> Preemption | None:
    """The least harmful way to make room for a pod of this template; None: there is none.

    Args:
        template: the pod that needs room.
        cluster: the cluster; it is changed in thought only, and as before afterwards.
        rows: nodes where removing pods may help.
        suits: whether a row passes all filters now.
        by_resources_alone: nothing but resources depends on which pods are on a node.
        spared: pods that are never victims.
        first: where in the rows to begin; nodes are examined from there on, so that not always the same ones lose.
    """
    if not any(priority < template.priority for priority in cluster.resources.by_priority):
        return None
    best: tuple[Harm, int, Victims] | None = None
    for chosen in promising(template, cluster, rows) if by_resources_alone else (rows,):
        start = first % len(chosen)
        order = [*chosen[start:].tolist(), *chosen[:start].tolist()]
        found = examine(template, cluster, order, suits=suits, by_resources_alone=by_resources_alone, spared=spared)
        if found is not None and (best is None or found[0] < best[0]):
            best = found
        if best is not None and not best[0].violations:
            # Where more important pods would have to go it can only be worse.
            break
    if best is None:
        return None
    _, row, victims = best
    return Preemption(row, cluster.node_name(row), victims.pods, victims.violations)


def examine(
    template: Template,
    cluster: Cluster,
    order: Sequence[int],
    *,
    suits: Callable[[int], bool],
    by_resources_alone: bool,
    spared: Callable[[PodInfo], bool],
) -> tuple[Harm, int, Victims] | None:
    """The row where the harm is least, of the first ones in this order that have any victims; arguments as of `plan`.

    Of equal ones the first.
    """
    best: tuple[Harm, int, Victims] | None = None
    examined = 0
    for row in order:
        if examined >= EXAMINED_MAX:
            break
        lower = sorted(
            (
                pod
                for pod in cluster.pods.on_row.get(row, {}).values()
                if pod.template.priority < template.priority and not spared(pod)
            ),
            key=importance,
        )
        if not lower:
            continue
        examined += 1
        victims = (
            victims_by_resources(template, cluster, row, lower)
            if by_resources_alone
            else victims_in_thought(cluster, row, lower, suits)
        )
        if victims is None:
            continue
        harm = harm_of(victims)
        if best is None or harm < best[0]:
            best = harm, row, victims
    return best


def promising(template: Template, cluster: Cluster, rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """The rows where removing pods up to some priority gives enough room, by that priority, lowest first."""
    resources = cluster.resources
    if any(resource not in resources.index for resource, _ in template.demand.amounts):
        return
    asked = [(resources.index[resource], amount) for resource, amount in template.demand.amounts]
    missing = {
        number: resources.requested[number, rows] + amount - resources.allocatable[number, rows]
        for number, amount in asked
    }
    missing[-1] = resources.pods[rows] + 1 - resources.pods_max[rows]
    known = np.zeros(len(rows), np.bool_)
    for priority in sorted(resources.by_priority):
        if priority >= template.priority:
            return
        enough = np.ones(len(rows), np.bool_)
        for number in missing:
            missing[number] = missing[number] - resources.by_priority[priority][number, rows]
            enough &= missing[number] <= 0
        new = enough & ~known
        if new.any():
            known |= enough
            yield rows[new]


def victims_by_resources(template: Template, cluster: Cluster, row: int, lower: list[PodInfo]) -> Victims | None:
    """The victims on a row where resources alone decide; None: not even without all of them is there room."""
    breaking = cluster.budgets.violations(lower)
    resources = cluster.resources
    wanted = [[pod.template.demand.amount(resource) for resource, _ in template.demand.amounts] for pod in lower]
    free = []
    for position, (resource, amount) in enumerate(template.demand.amounts):
        number = resources.index[resource]
        gained = sum(amounts[position] for amounts in wanted)
        left = int(resources.allocatable[number, row]) - int(resources.requested[number, row]) + gained - amount
        if left < 0:
            return None
        free.append(left)
    places = int(resources.pods_max[row]) - int(resources.pods[row]) + len(lower) - 1
    if places < 0:
        return None
    victims, broken = [], 0
    for position in range(len(lower)) if breaking is None else returning(breaking):
        amounts = wanted[position]
        rest = [have - amount for have, amount in zip(free, amounts, strict=True)]
        if places > 0 and (not rest or min(rest) >= 0):
            places -= 1
            free = rest
        else:
            victims.append(lower[position])
            if breaking is not None:
                broken += breaking[position]
    if breaking is not None:
        victims.sort(key=importance)
    return Victims(tuple(victims), broken)


def returning(breaking: Sequence[bool]) -> list[int]:
    """In which order pods are given back: first those whose going would break a budget."""
    return sorted(range(len(breaking)), key=lambda position: not breaking[position])


def victims_in_thought(
    cluster: Cluster, row: int, lower: list[PodInfo], suits: Callable[[int], bool]
) -> Victims | None:
    """The victims on a row, found by taking pods away and asking the filters; None: it does not help."""
    node = cluster.node_name(row)
    breaking = cluster.budgets.violations(lower)
    away: dict[str, PodInfo] = {}
    with cluster.journal.paused():
        try:
            for pod in lower:
                cluster.remove_pod(pod.uid)
                away[pod.uid] = pod
            if not suits(row):
                return None
            broken = 0
            for position in range(len(lower)) if breaking is None else returning(breaking):
                pod = lower[position]
                cluster.add_pod(pod, node)
                del away[pod.uid]
                if not suits(row):
                    cluster.remove_pod(pod.uid)
                    away[pod.uid] = pod
                    if breaking is not None:
                        broken += breaking[position]
            return Victims(tuple(pod for pod in lower if pod.uid in away), broken)
        finally:
            for pod in away.values():
                cluster.add_pod(pod, node)


def note(nodes: int, resolvable: int) -> str:
    """What is added to the message of a pod for which no room could be made, in kube-scheduler's words."""
    counts: Mapping[str, int] = {NO_VICTIMS: resolvable, NOT_HELPFUL: nodes - resolvable}
    parts = sorted(f"{count} {text}" for text, count in counts.items() if count)
    return f"preemption: 0/{nodes} nodes are available: {', '.join(parts)}."
