"""Defaults of the kinds that make pods."""

from __future__ import annotations

from typing import Any

from steersman.defaulting.pod import percentage, pod_spec


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
    _labels_from_template(obj)


def _labels_from_template(obj: Any) -> None:
    """A selector and labels that are left out are the template's labels."""
    labels = obj.spec.template.metadata.labels
    if labels and not obj.spec.selector.match_labels and not obj.spec.selector.match_expressions:
        obj.spec.selector.match_labels.update(labels)
    if labels and not obj.metadata.labels:
        obj.metadata.labels.update(labels)
