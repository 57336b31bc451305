"""Rules of storage classes, attachments of volumes, and CSI drivers."""

from __future__ import annotations

from typing import Any

from steersman.errors import FieldViolation
from steersman.validation import names, volume
from steersman.validation.meta import not_negative, one_of
from steersman.validation.names import show, violation
from steersman.validation.workload import unchanged

PARAMETERS_MAX = 512
PARAMETERS_BYTES_MAX = 256 * 1024
NODE_ID_BYTES_MAX = 256
MESSAGE_CHARACTERS_MAX = 1024
TOKEN_S_MIN, TOKEN_S_MAX = 600, 1 << 32
UPDATE_PERIOD_S_MIN = 10


def storage_class(obj: Any) -> list[FieldViolation]:
    """What is wrong with a StorageClass."""
    if obj.provisioner:
        found = names.label_key("provisioner", obj.provisioner.lower())
    else:
        found = violation("provisioner", "required")
    if len(obj.parameters) > PARAMETERS_MAX:
        found += violation("parameters", f"{len(obj.parameters)} parameters, at most {PARAMETERS_MAX}")
    size = 0
    for name, value in obj.parameters.items():
        if not name:
            found += violation("parameters", "a parameter has a name")
        size += len(name.encode()) + len(value.encode())
    if size > PARAMETERS_BYTES_MAX:
        found += violation("parameters", f"{size} bytes in all, at most {PARAMETERS_BYTES_MAX}")
    found += one_of("reclaimPolicy", obj.reclaim_policy, ("Delete", "Retain"))
    found += one_of("volumeBindingMode", obj.volume_binding_mode, ("Immediate", "WaitForFirstConsumer"))
    for index, term in enumerate(obj.allowed_topologies):
        found += _topology(f"allowedTopologies[{index}]", term)
        if term in obj.allowed_topologies[:index]:
            found += violation(f"allowedTopologies[{index}]", "stands twice")
    return found


def _topology(field: str, term: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    keys: set[str] = set()
    for index, expression in enumerate(term.match_label_expressions):
        here = f"{field}.matchLabelExpressions[{index}]"
        found += names.label_key(f"{here}.key", expression.key)
        if expression.key in keys:
            found += violation(f"{here}.key", f"{show(expression.key)} stands twice")
        keys.add(expression.key)
        if not expression.values:
            found += violation(f"{here}.values", "required: at least one value")
        if len(set(expression.values)) != len(expression.values):
            found += violation(f"{here}.values", "a value stands twice")
    return found


def storage_class_update(new: Any, old: Any) -> list[FieldViolation]:
    """What of a StorageClass may not change the way it does."""
    mutable = ("metadata", "mount_options", "allow_volume_expansion", "allowed_topologies")
    return unchanged(new, old, "", besides=mutable)


def attachment(obj: Any) -> list[FieldViolation]:
    """What is wrong with a VolumeAttachment."""
    spec = obj.spec
    found = volume.driver("spec.attacher", spec.attacher)
    if spec.node_name:
        found += names.subdomain("spec.nodeName", spec.node_name)
    else:
        found += violation("spec.nodeName", "required")
    source = spec.source
    if source.HasField("persistent_volume_name") == source.HasField("inline_volume_spec"):
        found += violation("spec.source", "needs exactly one of persistentVolumeName and inlineVolumeSpec")
    elif source.HasField("inline_volume_spec"):
        found += volume.spec("spec.source.inlineVolumeSpec", source.inline_volume_spec)
    elif not source.persistent_volume_name:
        found += violation("spec.source.persistentVolumeName", "required")
    return found


def attachment_status(status: Any) -> list[FieldViolation]:
    """What is wrong with an attachment's status."""
    found: list[FieldViolation] = []
    for name, shown in (("attach_error", "attachError"), ("detach_error", "detachError")):
        length = len(getattr(status, name).message)
        if length > MESSAGE_CHARACTERS_MAX:
            found += violation(f"status.{shown}.message", f"{length} characters, at most {MESSAGE_CHARACTERS_MAX}")
    return found


def csi_driver(obj: Any) -> list[FieldViolation]:
    """What is wrong with a CSIDriver."""
    spec = obj.spec
    policies = ("ReadWriteOnceWithFSType", "File", "None")
    found = one_of("spec.fsGroupPolicy", spec.fs_group_policy, policies)
    for index, mode in enumerate(spec.volume_lifecycle_modes):
        found += one_of(f"spec.volumeLifecycleModes[{index}]", mode, ("Persistent", "Ephemeral"))
    audiences: set[str] = set()
    for index, token in enumerate(spec.token_requests):
        here = f"spec.tokenRequests[{index}]"
        if token.audience in audiences:
            found += violation(f"{here}.audience", f"{show(token.audience)} stands twice")
        audiences.add(token.audience)
        if token.HasField("expiration_seconds") and not TOKEN_S_MIN <= token.expiration_seconds <= TOKEN_S_MAX:
            why = f"{token.expiration_seconds} is not from {TOKEN_S_MIN} to {TOKEN_S_MAX}"
            found += violation(f"{here}.expirationSeconds", why)
    period_s = spec.node_allocatable_update_period_seconds
    if spec.HasField("node_allocatable_update_period_seconds") and period_s < UPDATE_PERIOD_S_MIN:
        found += violation("spec.nodeAllocatableUpdatePeriodSeconds", f"{period_s} is less than {UPDATE_PERIOD_S_MIN}")
    if spec.service_account_token_in_secrets and not spec.token_requests:
        found += violation("spec.serviceAccountTokenInSecrets", "only where tokenRequests are given")
    return found


def csi_driver_update(new: Any, old: Any) -> list[FieldViolation]:
    """What of a CSIDriver may not change the way it does."""
    fields = [field.name for field in old.spec.DESCRIPTOR.fields]
    besides = [name for name in fields if name not in ("attach_required", "volume_lifecycle_modes")]
    return unchanged(new.spec, old.spec, "spec", besides=besides)


def csi_node(obj: Any) -> list[FieldViolation]:
    """What is wrong with a CSINode."""
    found: list[FieldViolation] = []
    seen: set[str] = set()
    for index, each in enumerate(obj.spec.drivers):
        here = f"spec.drivers[{index}]"
        found += volume.driver(f"{here}.name", each.name)
        if each.name in seen:
            found += violation(f"{here}.name", f"{show(each.name)} stands twice")
        seen.add(each.name)
        if not 0 < len(each.node_id.encode()) <= NODE_ID_BYTES_MAX:
            found += violation(f"{here}.nodeID", f"needs 1 to {NODE_ID_BYTES_MAX} bytes")
        for number, key in enumerate(each.topology_keys):
            found += names.label_key(f"{here}.topologyKeys[{number}]", key)
        if len(set(each.topology_keys)) != len(each.topology_keys):
            found += violation(f"{here}.topologyKeys", "a key stands twice")
        found += not_negative(f"{here}.allocatable.count", each.allocatable.count)
    return found


def csi_node_update(new: Any, old: Any) -> list[FieldViolation]:
    """What of a CSINode may not change: of a driver that stays, only how many volumes it can have."""
    before = {each.name: each for each in old.spec.drivers}
    found: list[FieldViolation] = []
    for index, each in enumerate(new.spec.drivers):
        if each.name in before:
            found += unchanged(each, before[each.name], f"spec.drivers[{index}]", besides=("allocatable",))
    return found
