"""Requests and limits: quality of service, and what they mean to a cgroup."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from steersman.core.v1.container_pb2 import Container
from steersman.core.v1.pod_pb2 import Pod

from nodeagent.pod import quantity

GUARANTEED = "Guaranteed"
BURSTABLE = "Burstable"
BEST_EFFORT = "BestEffort"

CPU_PERIOD_US = 100_000
CPU_QUOTA_MIN_US = 1_000
CPU_SHARES_MIN = 2
CPU_SHARES_MAX = 262_144


@dataclass(frozen=True)
class Limits:
    """Limits of one cgroup.

    Attributes:
        cpu_shares: relative weight of cgroup v1.
        cpu_quota_us: microseconds of CPU in each period; 0: unlimited.
        memory_bytes: 0: unlimited.
    """

    cpu_shares: int
    cpu_quota_us: int = 0
    memory_bytes: int = 0


def is_sidecar(container: Container) -> bool:
    """Whether an init container keeps running beside the others."""
    return container.restart_policy == "Always"


def qos_class(pod: Pod) -> str:
    """Guaranteed, Burstable or BestEffort, from CPU and memory of all containers."""
    guaranteed = True
    any_given = False
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        requests, limits = container.resources.requests, container.resources.limits
        for name in ("cpu", "memory"):
            limit = quantity.of(limits, name) or Decimal(0)
            request = quantity.of(requests, name)
            request = limit if request is None else request
            any_given = any_given or request > 0 or limit > 0
            if limit <= 0 or request != limit:
                guaranteed = False
    if not any_given:
        return BEST_EFFORT
    return GUARANTEED if guaranteed else BURSTABLE


def cpu_shares(milli_cpu: int) -> int:
    """cgroup v1 shares of so many thousandths of a CPU."""
    return min(CPU_SHARES_MAX, max(CPU_SHARES_MIN, milli_cpu * 1024 // 1000))


def cpu_quota_us(milli_cpu: int) -> int:
    """Microseconds in each period; 0 when there is no limit."""
    return max(CPU_QUOTA_MIN_US, milli_cpu * CPU_PERIOD_US // 1000) if milli_cpu else 0


def container_limits(container: Container) -> Limits:
    """Limits of one container's cgroup. Without a CPU request the CPU limit counts as one."""
    requests, limits = container.resources.requests, container.resources.limits
    cpu_limit = quantity.milli(quantity.of(limits, "cpu") or Decimal(0))
    cpu_request = quantity.of(requests, "cpu")
    shares_from = cpu_limit if cpu_request is None else quantity.milli(cpu_request)
    memory = quantity.whole(quantity.of(limits, "memory") or Decimal(0))
    return Limits(cpu_shares(shares_from), cpu_quota_us(cpu_limit), memory)


def _over_time(pod: Pod, values: dict[str, Decimal]) -> Decimal:
    """What a pod needs at most at any moment: init containers run one after the other, sidecars beside everything."""
    sidecars = Decimal(0)
    peak = Decimal(0)
    for container in pod.spec.init_containers:
        value = values[container.name]
        if is_sidecar(container):
            sidecars += value
        else:
            peak = max(peak, sidecars + value)
    together = sidecars + sum((values[container.name] for container in pod.spec.containers), Decimal(0))
    return max(peak, together)


def _containers(pod: Pod) -> Iterable[Container]:
    return (*pod.spec.init_containers, *pod.spec.containers)


def _request(container: Container, name: str) -> Decimal:
    request = quantity.of(container.resources.requests, name)
    if request is None:
        request = quantity.of(container.resources.limits, name)
    return request or Decimal(0)


def pod_request(pod: Pod, name: str) -> Decimal:
    """What the pod asks for of a resource, overhead included."""
    values = {container.name: _request(container, name) for container in _containers(pod)}
    return _over_time(pod, values) + (quantity.of(pod.spec.overhead, name) or Decimal(0))


def _pod_limit(pod: Pod, name: str) -> Decimal:
    """The pod's limit of a resource; 0 when any container has none."""
    values: dict[str, Decimal] = {}
    for container in _containers(pod):
        limit = quantity.of(container.resources.limits, name) or Decimal(0)
        if limit <= 0:
            return Decimal(0)
        values[container.name] = limit
    return _over_time(pod, values) + (quantity.of(pod.spec.overhead, name) or Decimal(0))


def pod_limits(pod: Pod) -> Limits:
    """Limits of the cgroup around all containers of the pod."""
    return Limits(
        cpu_shares(quantity.milli(pod_request(pod, "cpu"))),
        cpu_quota_us(quantity.milli(_pod_limit(pod, "cpu"))),
        quantity.whole(_pod_limit(pod, "memory")),
    )


def oom_score_adj(pod: Pod, container: Container, node_memory_bytes: int) -> int:
    """How readily the kernel kills the container when memory runs out: -997 guaranteed ... 1000 best effort."""
    qos = qos_class(pod)
    if pod.spec.priority >= 2_000_000_000 or qos == GUARANTEED:
        return -997
    if qos == BEST_EFFORT:
        return 1000
    requested = int(_request(container, "memory"))
    score = 1000 - 1000 * requested // max(1, node_memory_bytes)
    return max(3, min(999, score))
