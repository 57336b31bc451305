"""What pods and nodes use, as rows of tables. Pure: answers of the apiserver in, cells out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any, NamedTuple

from steersman import quantity

CPU, MEMORY = "cpu", "memory"


class Use(NamedTuple):
    """Cores and bytes."""

    cpu: Decimal = Decimal(0)
    memory: Decimal = Decimal(0)

    def __add__(self, other: object) -> Use:
        """Both together."""
        assert isinstance(other, Use)
        return Use(self.cpu + other.cpu, self.memory + other.memory)


def use_of(usage: Mapping[str, Any]) -> Use:
    """Of quantities by resource."""
    return Use(*(quantity.parse(usage[name].value) if name in usage else Decimal(0) for name in (CPU, MEMORY)))


def of_pod(metrics: Any) -> Use:
    """What the containers of a pod use together."""
    total = Use()
    for container in metrics.containers:
        total += use_of(container.usage)
    return total


def cores(value: Decimal) -> str:
    """Cores in thousandths, rounded up as what is used is not nothing: "12m"."""
    return f"{int((value * 1000).to_integral_value(ROUND_CEILING))}m"


def mebibytes(value: Decimal) -> str:
    """Bytes in mebibytes: "34Mi"."""
    return f"{int(value // (1024 * 1024))}Mi"


def share(part: Decimal, whole: Decimal) -> str:
    """How much of something is used: "12%"; "<unknown>" of nothing."""
    return f"{int(part * 100 // whole)}%" if whole else "<unknown>"


def sort(items: Iterable[tuple[Use, Any]], by: str) -> list[tuple[Use, Any]]:
    """The largest first where it is to be by "cpu" or "memory"; otherwise as they are."""
    ordered = list(items)
    if by in (CPU, MEMORY):
        ordered.sort(key=lambda each: getattr(each[0], by), reverse=True)
    return ordered
