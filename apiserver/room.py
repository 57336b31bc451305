"""What pods take of a node, and whether another one still fits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from steersman import quantity
from steersman.quotas import pod_amounts

from apiserver import errors

PODS = "pods"
Amounts = Mapping[str, Decimal]


def taken_by(pod: Any) -> Amounts:
    """What a pod takes of its node: what it asks for, and one place for a pod."""
    return {
        **{name: amount for name, amount in pod_amounts(pod.spec, "requests").items() if amount > 0},
        PODS: Decimal(1),
    }


def offered_by(node: Any) -> Amounts:
    """What a node has for pods; empty for one that has not said so yet."""
    return {name: quantity.parse(amount.value) for name, amount in node.status.allocatable.items()}


def check(pod: str, node: str, asked: Amounts, offered: Amounts, taken: Iterable[Amounts]) -> None:
    """Refuses a pod for which there is no room.

    Args:
        pod: its name.
        node: the node's name.
        asked: what the pod takes.
        offered: what the node has; empty: nobody knows, and anything goes.
        taken: what each pod that is there takes.

    Raises:
        NodeFull: there is too little of something.
    """
    if not offered:
        return
    free = {name: offered.get(name, Decimal(0)) for name in asked}
    for each in taken:
        for name in free:
            free[name] -= each.get(name, Decimal(0))
    short = [name for name in asked if asked[name] > free[name]]
    if short:
        name = short[0]
        raise errors.NodeFull(pod, node, name, quantity.show(asked[name]), quantity.show(max(free[name], Decimal(0))))
