"""Whether a container that ended is started again."""

from __future__ import annotations

from steersman.core.v1.container_pb2 import Container
from steersman.core.v1.pod_pb2 import Pod

from nodeagent.pod.resources import is_sidecar


def restarts(pod: Pod, container: Container, exit_code: int, *, init: bool = False) -> bool:
    """Whether a container that ended with this exit code is started again.

    The container's own rules come first, then its own policy, then the pod's. An init container that is not a sidecar
    is only ever repeated after a failure.
    """
    for rule in container.restart_policy_rules:
        among = exit_code in rule.exit_codes.values
        if rule.exit_codes.operator == "NotIn":
            among = not among
        if among and rule.action == "Restart":
            return True
    policy = container.restart_policy or pod.spec.restart_policy or "Always"
    if is_sidecar(container):
        return True
    if init or policy == "OnFailure":
        return exit_code != 0 and policy != "Never"
    return policy == "Always"
