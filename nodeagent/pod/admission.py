"""Whether a pod that was bound to this node still fits, now that it comes.

The scheduler has decided that it does, but it may have decided on what it knew a moment before, and a pod can be bound
by hand. A pod that does not fit fails, as in Kubernetes, so that its owner makes another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from steersman.core.v1.pod_pb2 import Pod

from nodeagent.pod import phase, resources
from nodeagent.pod.status import Verdict

CHECKED = ("cpu", "memory", "ephemeral-storage")


def active(pods: Iterable[Pod]) -> list[Pod]:
    """Those that still use the node."""
    return [pod for pod in pods if pod.status.phase not in phase.TERMINAL]


def _host_ports(pod: Pod) -> set[tuple[str, str, int]]:
    found: set[tuple[str, str, int]] = set()
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        for port in container.ports:
            number = port.container_port if pod.spec.host_network and not port.host_port else port.host_port
            if number:
                found.add((port.host_ip or "0.0.0.0", port.protocol or "TCP", number))
    return found


def _collide(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    same_address = one[0] == other[0] or "0.0.0.0" in (one[0], other[0])
    return same_address and one[1:] == other[1:]


def refusal(pod: Pod, others: Iterable[Pod], allocatable: Mapping[str, Decimal]) -> Verdict | None:
    """Why the pod does not fit beside the others; None when it does.

    Args:
        pod: the pod that comes.
        others: active pods of the node, without this one.
        allocatable: what the node offers, in base units.
    """
    beside = list(others)
    if len(beside) + 1 > allocatable.get("pods", Decimal(0)):
        used, capacity = len(beside), allocatable.get("pods", Decimal(0))
        return _out_of("pods", f"requested: 1, used: {used}, capacity: {capacity}")
    for name in CHECKED:
        wanted = resources.pod_request(pod, name)
        if wanted <= 0:
            continue
        used_up = sum((resources.pod_request(each, name) for each in beside), Decimal(0))
        limit = allocatable.get(name, Decimal(0))
        if used_up + wanted > limit:
            return _out_of(
                name, f"requested: {wanted.normalize():f}, used: {used_up.normalize():f}, capacity: {limit:f}"
            )
    taken = [port for each in beside for port in _host_ports(each)]
    for port in sorted(_host_ports(pod)):
        if any(_collide(port, other) for other in taken):
            return Verdict("NodePorts", f"Pod was rejected: port {port[2]}/{port[1]} of the node is taken")
    return None


def _out_of(name: str, numbers: str) -> Verdict:
    return Verdict(f"OutOf{name}", f"Pod was rejected: Node didn't have enough resource: {name}, {numbers}")
