"""Names by which sandboxes and containers are found again, as Kubernetes' kubelet writes them.

They are all that an agent needs to adopt running pods after it was killed.
"""

from __future__ import annotations

import hashlib

from steersman.core.v1.container_pb2 import Container

POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"

CONTAINER_HASH = "io.kubernetes.container.hash"
RESTART_COUNT = "io.kubernetes.container.restartCount"
TERMINATION_MESSAGE_PATH = "io.kubernetes.container.terminationMessagePath"
TERMINATION_MESSAGE_POLICY = "io.kubernetes.container.terminationMessagePolicy"
POD_TERMINATION_GRACE = "io.kubernetes.pod.terminationGracePeriod"


def container_hash(container: Container) -> str:
    """Changes exactly when a running container must be replaced: only its image may be edited in place."""
    return hashlib.sha256(f"{container.name}\0{container.image}".encode()).hexdigest()[:16]
