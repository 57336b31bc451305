"""DefaultTolerationSeconds: pods leave a node that is not ready or not reachable after a while, not at once."""

from __future__ import annotations

from apiserver.admission.port import CREATE, Admission

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"


class DefaultTolerationSeconds:
    """Adds the two tolerations to pods that say nothing about these taints."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds

    async def admit(self, write: Admission) -> None:
        """See `Plugin.admit`."""
        if write.kind.kind != "Pod" or write.operation != CREATE:
            return
        tolerations = write.obj.spec.tolerations
        for key in (NOT_READY, UNREACHABLE):
            covered = any(t.effect in ("", "NoExecute") and t.key in ("", key) for t in tolerations)
            if not covered:
                tolerations.add(key=key, operator="Exists", effect="NoExecute", toleration_seconds=self._seconds)
