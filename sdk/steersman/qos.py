"""The class of service of a pod, as Kubernetes derives it from requests and limits of CPU and memory."""

from __future__ import annotations

from itertools import chain
from typing import Any

from steersman import quantity

GUARANTEED, BURSTABLE, BEST_EFFORT = "Guaranteed", "Burstable", "BestEffort"


def qos_class(spec: Any) -> str:
    """Guaranteed: every container limits both, and requests what it limits. BestEffort: none asks for any.

    Quantities that cannot be read count as none; validation reports them.
    """
    nothing_asked = True
    all_equal = True
    for container in chain(spec.init_containers, spec.containers):
        for name in ("cpu", "memory"):
            request = _amount(container.resources.requests, name)
            limit = _amount(container.resources.limits, name)
            if request or limit:
                nothing_asked = False
            if not limit or (request or limit) != limit:
                all_equal = False
    if nothing_asked:
        return BEST_EFFORT
    return GUARANTEED if all_equal else BURSTABLE


def _amount(resources: Any, name: str) -> Any:
    if name not in resources:
        return None
    try:
        return quantity.parse(resources[name].value)
    except ValueError:
        return None
