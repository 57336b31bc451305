"""DefaultPreemption: which pods of lower priority must go so that a pod finds a place.

On each node that could be made to suit, all pods of lower priority are taken away in thought, and then as many as
possible are given back, the most important first; those that cannot be given back are the victims. Among the nodes, the
one is chosen where the harm is least: the highest priority among the victims is lowest, then the sum of their
priorities, then their number, then the one whose most important victims have run for the shortest time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
NOT_ALLOWED = "preemption: not eligible due to preemptionPolicy=Never."


@dataclass(frozen=True)
class Preemption:
    """Room for a pod.

    Attributes:
        row: the row of the node.
        node: its name.
        victims: the pods that must go, the most important first.
    """

    row: int
    node: str
    victims: tuple[PodInfo, ...]


class Harm(NamedTuple):
    """How bad a preemption is; smaller is better."""

    highest_priority: int
    sum_of_priorities: int
    victims: int
    latest_start: float


def importance(pod: PodInfo) -> tuple[int, float]:
    """Sorts the most important pods first: the highest priority, then the one that was there first."""
    return -pod.template.priority, pod.created


def harm_of(victims: tuple[PodInfo, ...]) -> Harm:
    """How bad it is to push these out."""
    if not victims:
        return Harm(-PRIORITY_OFFSET, 0, 0, 0.0)
    highest = victims[0].template.priority
    earliest = min(pod.created for pod in victims if pod.template.priority == highest)
    total = sum(pod.template.priority + PRIORITY_OFFSET for pod in victims)
    return Harm(highest, total, len(victims), -earliest)


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
    chosen = promising(template, cluster, rows) if by_resources_alone else rows
    if not len(chosen):
        return None
    start = first % len(chosen)
    order = [*chosen[start:].tolist(), *chosen[:start].tolist()]
    best: tuple[Harm, int, tuple[PodInfo, ...]] | None = None
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
        candidate = (harm_of(victims), examined, victims)
        if best is None or candidate[:2] < best[:2]:
            best = (*candidate[:2], victims)
            best_row = row
    if best is None:
        return None
    return Preemption(best_row, cluster.node_name(best_row), best[2])


def promising(template: Template, cluster: Cluster, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """The rows where removing pods up to some priority gives enough room, for the lowest such priority."""
    resources = cluster.resources
    if any(resource not in resources.index for resource, _ in template.demand.amounts):
        return rows[:0]
    asked = [(resources.index[resource], amount) for resource, amount in template.demand.amounts]
    missing = {
        number: resources.requested[number, rows] + amount - resources.allocatable[number, rows]
        for number, amount in asked
    }
    missing[-1] = resources.pods[rows] + 1 - resources.pods_max[rows]
    for priority in sorted(resources.by_priority):
        if priority >= template.priority:
            break
        enough = np.ones(len(rows), np.bool_)
        for number in missing:
            missing[number] = missing[number] - resources.by_priority[priority][number, rows]
            enough &= missing[number] <= 0
        if enough.any():
            return rows[enough]
    return rows[:0]


def victims_by_resources(
    template: Template, cluster: Cluster, row: int, lower: list[PodInfo]
) -> tuple[PodInfo, ...] | None:
    """The victims on a row where resources alone decide; None: not even without all of them is there room."""
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
    victims = []
    for pod, amounts in zip(lower, wanted, strict=True):
        rest = [have - amount for have, amount in zip(free, amounts, strict=True)]
        if places > 0 and (not rest or min(rest) >= 0):
            places -= 1
            free = rest
        else:
            victims.append(pod)
    return tuple(victims)


def victims_in_thought(
    cluster: Cluster, row: int, lower: list[PodInfo], suits: Callable[[int], bool]
) -> tuple[PodInfo, ...] | None:
    """The victims on a row, found by taking pods away and asking the filters; None: it does not help."""
    node = cluster.node_name(row)
    away: dict[str, PodInfo] = {}
    try:
        for pod in lower:
            cluster.remove_pod(pod.uid)
            away[pod.uid] = pod
        if not suits(row):
            return None
        for pod in lower:
            cluster.add_pod(pod, node)
            del away[pod.uid]
            if not suits(row):
                cluster.remove_pod(pod.uid)
                away[pod.uid] = pod
        return tuple(pod for pod in lower if pod.uid in away)
    finally:
        for pod in away.values():
            cluster.add_pod(pod, node)


def note(nodes: int, resolvable: int) -> str:
    """What is added to the message of a pod for which no room could be made, in kube-scheduler's words."""
    counts: Mapping[str, int] = {NO_VICTIMS: resolvable, NOT_HELPFUL: nodes - resolvable}
    parts = sorted(f"{count} {text}" for text, count in counts.items() if count)
    return f"preemption: 0/{nodes} nodes are available: {', '.join(parts)}."
