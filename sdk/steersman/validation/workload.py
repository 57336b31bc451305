"""Rules of the kinds that make pods."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from steersman.errors import FieldViolation
from steersman.selectors import SelectorError, of_message
from steersman.validation import claim, meta, names, pod
from steersman.validation.meta import not_negative, one_of
from steersman.validation.names import violation

_PERCENT = re.compile(r"[0-9]{1,3}%")


def selector_and_template(spec: Any, *, claims: Iterable[str] = ()) -> list[FieldViolation]:
    """What is wrong with a selector, a template, or with both together; `claims` as for `pod.pod_spec`."""
    found = meta.selector("spec.selector", spec.selector)
    if not spec.selector.match_labels and not spec.selector.match_expressions:
        found += violation("spec.selector", "required: it says which pods belong to this object")
    else:
        try:
            fits = of_message(spec.selector).matches(spec.template.metadata.labels)
        except SelectorError:
            fits = True
        if not fits:
            found += violation("spec.template.metadata.labels", "do not match spec.selector")
    return found + _kept_running("spec.template", spec.template, claims)


def _kept_running(field: str, template: Any, claims: Iterable[str] = ()) -> list[FieldViolation]:
    """What is wrong with a template of pods that are replaced when they end."""
    found = pod.template(field, template, claims=claims)
    if template.spec.restart_policy != "Always":
        found += violation(f"{field}.spec.restartPolicy", "must be Always: these pods are kept running")
    if template.spec.HasField("active_deadline_seconds"):
        found += violation(f"{field}.spec.activeDeadlineSeconds", "not allowed: these pods are kept running")
    return found


def count_or_percentage(field: str, value: Any) -> list[FieldViolation]:
    """A number that is not negative, or a percentage."""
    if value.type == 1:
        return [] if _PERCENT.fullmatch(value.str_val) else violation(field, f"{value.str_val!r} is not a percentage")
    return not_negative(field, value.int_val)


def deployment(obj: Any) -> list[FieldViolation]:
    """What is wrong with a Deployment."""
    spec = obj.spec
    found = not_negative("spec.replicas", spec.replicas)
    found += selector_and_template(spec)
    found += one_of("spec.strategy.type", spec.strategy.type, ("RollingUpdate", "Recreate"))
    if spec.strategy.type == "Recreate" and spec.strategy.HasField("rolling_update"):
        found += violation("spec.strategy.rollingUpdate", "not allowed where the type is Recreate")
    if spec.strategy.type == "RollingUpdate":
        rolling = spec.strategy.rolling_update
        found += count_or_percentage("spec.strategy.rollingUpdate.maxUnavailable", rolling.max_unavailable)
        found += count_or_percentage("spec.strategy.rollingUpdate.maxSurge", rolling.max_surge)
        if _is_zero(rolling.max_unavailable) and _is_zero(rolling.max_surge):
            field = "spec.strategy.rollingUpdate.maxUnavailable"
            found += violation(field, "may not be 0 where maxSurge is 0: nothing could ever be replaced")
    found += not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    found += not_negative("spec.revisionHistoryLimit", spec.revision_history_limit)
    if spec.progress_deadline_seconds <= spec.min_ready_seconds:
        found += violation("spec.progressDeadlineSeconds", "must be greater than minReadySeconds")
    return found


def _is_zero(value: Any) -> bool:
    return bool(value.str_val == "0%" if value.type == 1 else value.int_val == 0)


def replica_set(obj: Any) -> list[FieldViolation]:
    """What is wrong with a ReplicaSet."""
    found = not_negative("spec.replicas", obj.spec.replicas)
    found += not_negative("spec.minReadySeconds", obj.spec.min_ready_seconds)
    return found + selector_and_template(obj.spec)


def daemon_set(obj: Any) -> list[FieldViolation]:
    """What is wrong with a DaemonSet."""
    spec = obj.spec
    found = selector_and_template(spec)
    found += not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    found += not_negative("spec.revisionHistoryLimit", spec.revision_history_limit)
    field = "spec.updateStrategy"
    found += one_of(f"{field}.type", spec.update_strategy.type, ("RollingUpdate", "OnDelete"))
    if spec.update_strategy.type != "RollingUpdate":
        return found
    rolling = spec.update_strategy.rolling_update
    found += count_or_percentage(f"{field}.rollingUpdate.maxUnavailable", rolling.max_unavailable)
    found += count_or_percentage(f"{field}.rollingUpdate.maxSurge", rolling.max_surge)
    missing, surge = not _is_zero(rolling.max_unavailable), not _is_zero(rolling.max_surge)
    if not missing and not surge:
        found += violation(f"{field}.rollingUpdate.maxUnavailable", "may not be 0 where maxSurge is 0")
    if missing and surge:
        found += violation(f"{field}.rollingUpdate.maxSurge", "must be 0 where maxUnavailable is not")
    if surge:
        for index, container in enumerate(spec.template.spec.containers):
            for number, port in enumerate(container.ports):
                if port.host_port:
                    here = f"spec.template.spec.containers[{index}].ports[{number}].hostPort"
                    found += violation(here, "not allowed with maxSurge: two pods cannot have one port of the node")
    return found


def stateful_set(obj: Any) -> list[FieldViolation]:
    """What is wrong with a StatefulSet."""
    spec = obj.spec
    found = not_negative("spec.replicas", spec.replicas)
    found += selector_and_template(spec, claims=[each.metadata.name for each in spec.volume_claim_templates])
    found += not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    found += not_negative("spec.revisionHistoryLimit", spec.revision_history_limit)
    found += one_of("spec.podManagementPolicy", spec.pod_management_policy, ("OrderedReady", "Parallel"))
    found += not_negative("spec.ordinals.start", spec.ordinals.start)
    retention = spec.persistent_volume_claim_retention_policy
    for shown, value in (("whenDeleted", retention.when_deleted), ("whenScaled", retention.when_scaled)):
        found += one_of(f"spec.persistentVolumeClaimRetentionPolicy.{shown}", value, ("Retain", "Delete"))
    strategy, field = spec.update_strategy, "spec.updateStrategy"
    found += one_of(f"{field}.type", strategy.type, ("RollingUpdate", "OnDelete"))
    if strategy.type == "OnDelete" and strategy.HasField("rolling_update"):
        found += violation(f"{field}.rollingUpdate", "not allowed where the type is OnDelete")
    if strategy.type == "RollingUpdate":
        rolling = strategy.rolling_update
        found += not_negative(f"{field}.rollingUpdate.partition", rolling.partition)
        if rolling.HasField("max_unavailable"):
            found += count_or_percentage(f"{field}.rollingUpdate.maxUnavailable", rolling.max_unavailable)
            if _is_zero(rolling.max_unavailable):
                found += violation(f"{field}.rollingUpdate.maxUnavailable", "may not be 0")
    seen: set[str] = set()
    for index, each in enumerate(spec.volume_claim_templates):
        here = f"spec.volumeClaimTemplates[{index}]"
        found += names.label_1123(f"{here}.metadata.name", each.metadata.name)
        if each.metadata.name in seen:
            found += violation(f"{here}.metadata.name", f"{each.metadata.name!r} names two templates")
        seen.add(each.metadata.name)
        found += claim.spec(f"{here}.spec", each.spec)
    return found


# What of a StatefulSet's spec may change.
_STATEFUL_SET_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "update_strategy",
    "revision_history_limit",
    "persistent_volume_claim_retention_policy",
    "min_ready_seconds",
)


def stateful_set_update(new: Any, old: Any) -> list[FieldViolation]:
    """What of a StatefulSet may not change the way it does."""
    return unchanged(new.spec, old.spec, "spec", besides=_STATEFUL_SET_MUTABLE)


def unchanged(new: Any, old: Any, field: str, *, besides: Iterable[str] = ()) -> list[FieldViolation]:
    """The fields of a message, which stands at `field`, that changed and are not among `besides`."""
    found: list[FieldViolation] = []
    for each in old.DESCRIPTOR.fields:
        if each.name in besides:
            continue
        same = getattr(new, each.name) == getattr(old, each.name)
        if each.has_presence:
            same = same and new.HasField(each.name) == old.HasField(each.name)
        if not same:
            found += violation(f"{field}.{each.json_name}" if field else each.json_name, "may not change")
    return found


def replication_controller(obj: Any) -> list[FieldViolation]:
    """What is wrong with a ReplicationController."""
    spec = obj.spec
    found = not_negative("spec.replicas", spec.replicas)
    found += not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    if not spec.selector:
        found += violation("spec.selector", "required: it says which pods belong to this object")
    found += names.labels("spec.selector", spec.selector)
    if not spec.HasField("template"):
        return found + violation("spec.template", "required: it says what the pods are made from")
    labels = spec.template.metadata.labels
    if any(labels.get(key) != value for key, value in spec.selector.items()):
        found += violation("spec.template.metadata.labels", "do not match spec.selector")
    return found + _kept_running("spec.template", spec.template)


def controller_revision(obj: Any) -> list[FieldViolation]:
    """What is wrong with a ControllerRevision."""
    found = [] if obj.HasField("data") else violation("data", "required")
    return found + not_negative("revision", obj.revision)


def selector_unchanged(new: Any, old: Any) -> list[FieldViolation]:
    """The selector may not change."""
    return [] if new.spec.selector == old.spec.selector else violation("spec.selector", "may not change")


def daemon_set_status(new: Any, old: Any) -> list[FieldViolation]:
    """What is wrong with a DaemonSet's new status."""
    return _counts(new.status) + _collisions(new.status, old.status)


def stateful_set_status(new: Any, old: Any) -> list[FieldViolation]:
    """What is wrong with a StatefulSet's new status."""
    status = new.status
    found = _counts(status) + _collisions(status, old.status)
    for name in ("ready_replicas", "current_replicas", "updated_replicas"):
        found += _at_most(status, name, "replicas")
    return found + _at_most(status, "available_replicas", "ready_replicas")


def replication_controller_status(new: Any, old: Any) -> list[FieldViolation]:
    """What is wrong with a ReplicationController's new status."""
    status = new.status
    found = _counts(status)
    for name in ("fully_labeled_replicas", "ready_replicas", "available_replicas"):
        found += _at_most(status, name, "replicas")
    return found + _at_most(status, "available_replicas", "ready_replicas")


def _counts(status: Any) -> list[FieldViolation]:
    """Numbers of a status are not negative."""
    found: list[FieldViolation] = []
    for field, value in status.ListFields():
        if isinstance(value, int):
            found += not_negative(f"status.{field.json_name}", value)
    return found


def _at_most(status: Any, name: str, bound: str) -> list[FieldViolation]:
    value, most = getattr(status, name), getattr(status, bound)
    shown, limit = (status.DESCRIPTOR.fields_by_name[each].json_name for each in (name, bound))
    return [] if value <= most else violation(f"status.{shown}", f"{value} is more than {limit}, {most}")


def _collisions(new: Any, old: Any) -> list[FieldViolation]:
    """Collisions are only ever counted up: names are made of the number."""
    if new.collision_count < old.collision_count:
        return violation("status.collisionCount", f"may not go down from {old.collision_count}")
    return []
