"""Kinds whose objects are stored, validated and watched, and that no component of this project acts on.

Who writes one is told so. A controller that arrives takes its kind out of this table.
"""

from __future__ import annotations

UNACTED: dict[str, str] = {
    "steersman.apps.v1.DaemonSet": "no controller makes its pods",
    "steersman.apps.v1.StatefulSet": "no controller makes its pods",
    "steersman.autoscaling.v2.HorizontalPodAutoscaler": "nothing measures and scales",
    "steersman.batch.v1.CronJob": "no controller makes its jobs",
    "steersman.batch.v1.Job": "no controller makes its pods",
    "steersman.core.v1.Endpoints": "services follow EndpointSlices only",
    "steersman.core.v1.PersistentVolume": "no controller binds it to a claim, and nodes do not mount it",
    "steersman.core.v1.PersistentVolumeClaim": "no controller binds it to a volume, and nodes do not mount it",
    "steersman.core.v1.ReplicationController": "no controller makes its pods; a Deployment has one",
    "steersman.networking.v1.Ingress": "no ingress controller comes with the cluster",
    "steersman.networking.v1.NetworkPolicy": "nodes let every connection through",
    "steersman.node.v1.RuntimeClass": "a pod's runtimeClassName is the name of the handler itself",
    "steersman.policy.v1.PodDisruptionBudget": "no controller counts the pods, so that their eviction is refused",
    "steersman.storage.v1.CSIDriver": "no CSI driver is spoken to",
    "steersman.storage.v1.CSINode": "no CSI driver is spoken to",
    "steersman.storage.v1.StorageClass": "no volumes are made",
    "steersman.storage.v1.VolumeAttachment": "no volumes are attached",
}
"""Full names of the kinds' messages, with what that means."""


def warnings(message: str) -> list[str]:
    """What a writer of an object of this message should know."""
    return [f"stored, and not acted on: {UNACTED[message]}"] if message in UNACTED else []
