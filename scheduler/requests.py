"""What a pod asks of a node's resources.

Containers run side by side, so their requests add up. Ordinary init containers run one after the other before them, so
the largest counts; an init container that restarts always (a sidecar) stays, and adds to everything that follows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from steersman import quantity
from steersman.core.v1 import PodSpec

CPU, MEMORY, EPHEMERAL, PODS = "cpu", "memory", "ephemeral-storage", "pods"

# For scoring, a container that asks for nothing is taken for a small one: 0.1 processors, 200 MiB.
ASSUMED_CPU_MILLI = 100
ASSUMED_MEMORY_BYTES = 200 * 1024 * 1024


@dataclass(frozen=True)
class Demand:
    """A pod's requests.

    Attributes:
        amounts: resource and amount (thousandths for cpu, else whole units), without those that are zero.
        assumed_cpu: processors for scoring, thousandths.
        assumed_memory: memory for scoring, bytes.
    """

    amounts: tuple[tuple[str, int], ...]
    assumed_cpu: int
    assumed_memory: int

    def amount(self, resource: str) -> int:
        """The amount of one resource."""
        return self._by_name.get(resource, 0)

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return dict(self.amounts)


def counts_unasked(resource: str) -> bool:
    """Whether a resource plays a part in scores also for pods that do not ask for it; extended ones do not."""
    return resource in (CPU, MEMORY, EPHEMERAL)


def amount_of(resource: str, text: str) -> int:
    """A quantity in the unit in which the resource is counted.

    Raises:
        QuantityError: the text is no quantity.
    """
    return quantity.milli(text) if resource == CPU else quantity.whole(text)


def amounts_of(values: Mapping[str, Any]) -> dict[str, int]:
    """A map of quantities in counting units; negative amounts, which validation refuses, count as zero."""
    return {resource: max(0, amount_of(resource, value.value)) for resource, value in values.items()}


def _with_assumptions(amounts: dict[str, int]) -> dict[str, int]:
    return {CPU: ASSUMED_CPU_MILLI, MEMORY: ASSUMED_MEMORY_BYTES} | amounts


def _add(total: dict[str, int], amounts: Mapping[str, int]) -> None:
    for resource, amount in amounts.items():
        total[resource] = total.get(resource, 0) + amount


def _largest(total: dict[str, int], amounts: Mapping[str, int]) -> None:
    for resource, amount in amounts.items():
        if amount > total.get(resource, 0):
            total[resource] = amount


def _combine(
    containers: Iterable[Mapping[str, int]], inits: Iterable[tuple[Mapping[str, int], bool]]
) -> dict[str, int]:
    """Requests of a pod from those of its containers and its init containers (amounts, whether it is a sidecar)."""
    running: dict[str, int] = {}
    for amounts in containers:
        _add(running, amounts)
    sidecars: dict[str, int] = {}
    starting: dict[str, int] = {}
    for amounts, sidecar in inits:
        if sidecar:
            _add(running, amounts)
            _add(sidecars, amounts)
            moment = dict(sidecars)
        else:
            moment = dict(amounts)
            _add(moment, sidecars)
        _largest(starting, moment)
    _largest(running, starting)
    return running


def demand_of(spec: PodSpec) -> Demand:
    """The requests of a pod.

    Raises:
        QuantityError: a request is no quantity.
    """
    containers = [amounts_of(container.resources.requests) for container in spec.containers]
    inits = [
        (amounts_of(container.resources.requests), container.restart_policy == "Always")
        for container in spec.init_containers
    ]
    total = _combine(containers, inits)
    assumed = _combine(
        [_with_assumptions(amounts) for amounts in containers],
        [(_with_assumptions(amounts), sidecar) for amounts, sidecar in inits],
    )
    # Requests of the pod as a whole stand in place of the sum of its containers'.
    whole = amounts_of(spec.resources.requests) if spec.HasField("resources") else {}
    total.update(whole)
    assumed.update(whole)
    overhead = amounts_of(spec.overhead)
    _add(total, overhead)
    _add(assumed, overhead)
    return Demand(
        tuple(sorted((resource, amount) for resource, amount in total.items() if amount)),
        assumed.get(CPU, 0),
        assumed.get(MEMORY, 0),
    )
