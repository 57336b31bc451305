"""Defaults of the kinds that make pods."""

from __future__ import annotations

from typing import Any

from steersman.defaulting.pod import percentage, pod_spec
from steersman.defaulting.volume import claim
from steersman.meta.v1.values_pb2 import IntOrString


def deployment(obj: Any) -> None:
    """Fills in a Deployment."""
    spec = obj.spec
    if not spec.HasField("replicas"):
        spec.replicas = 1
    spec.strategy.type = spec.strategy.type or "RollingUpdate"
    if spec.strategy.type == "RollingUpdate":
        rolling = spec.strategy.rolling_update
        for name in ("max_unavailable", "max_surge"):
            if not rolling.HasField(name):
                getattr(rolling, name).CopyFrom(percentage("25%"))
    if not spec.HasField("revision_history_limit"):
        spec.revision_history_limit = 10
    if not spec.HasField("progress_deadline_seconds"):
        spec.progress_deadline_seconds = 600
    pod_spec(spec.template.spec)


def replica_set(obj: Any) -> None:
    """Fills in a ReplicaSet."""
    if not obj.spec.HasField("replicas"):
        obj.spec.replicas = 1
    pod_spec(obj.spec.template.spec)


def daemon_set(obj: Any) -> None:
    """Fills in a DaemonSet."""
    spec = obj.spec
    strategy = spec.update_strategy
    strategy.type = strategy.type or "RollingUpdate"
    if strategy.type == "RollingUpdate":
        if not strategy.rolling_update.HasField("max_unavailable"):
            strategy.rolling_update.max_unavailable.CopyFrom(IntOrString(int_val=1))
        if not strategy.rolling_update.HasField("max_surge"):
            strategy.rolling_update.max_surge.CopyFrom(IntOrString(int_val=0))
    if not spec.HasField("revision_history_limit"):
        spec.revision_history_limit = 10
    pod_spec(spec.template.spec)


def stateful_set(obj: Any) -> None:
    """Fills in a StatefulSet."""
    spec = obj.spec
    if not spec.HasField("replicas"):
        spec.replicas = 1
    spec.pod_management_policy = spec.pod_management_policy or "OrderedReady"
    strategy = spec.update_strategy
    strategy.type = strategy.type or "RollingUpdate"
    if strategy.type == "RollingUpdate" and not strategy.rolling_update.HasField("partition"):
        strategy.rolling_update.partition = 0
    retention = spec.persistent_volume_claim_retention_policy
    retention.when_deleted = retention.when_deleted or "Retain"
    retention.when_scaled = retention.when_scaled or "Retain"
    if not spec.HasField("revision_history_limit"):
        spec.revision_history_limit = 10
    pod_spec(spec.template.spec)
    for template in spec.volume_claim_templates:
        claim(template)


def replication_controller(obj: Any) -> None:
    """Fills in a ReplicationController."""
    spec = obj.spec
    if not spec.HasField("replicas"):
        spec.replicas = 1
    if not spec.HasField("template"):
        return
    pod_spec(spec.template.spec)
    labels = spec.template.metadata.labels
    if not spec.selector:
        spec.selector.update(labels)
    if not obj.metadata.labels:
        obj.metadata.labels.update(labels)
