"""Rules of pods and pod templates."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from steersman.errors import FieldViolation
from steersman.validation import container, names, scheduling
from steersman.validation.meta import one_of
from steersman.validation.names import violation

RESTART_POLICIES = ("Always", "OnFailure", "Never")
GRACE_SECONDS_MAX = 10 * 365 * 86400
DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_SYSCTL = re.compile(r"[a-z0-9](?:[-_a-z0-9]*[a-z0-9])?(?:[./][a-z0-9](?:[-_a-z0-9]*[a-z0-9])?)*")


def validate(obj: Any) -> list[FieldViolation]:
    """What is wrong with a Pod."""
    return pod_spec("spec", obj.spec)


def template(field: str, obj: Any, *, claims: Iterable[str] = ()) -> list[FieldViolation]:
    """What is wrong with a template of pods, which stands at `field`; `claims` as for `pod_spec`."""
    found = names.labels(f"{field}.metadata.labels", obj.metadata.labels)
    found += names.annotation_map(f"{field}.metadata.annotations", obj.metadata.annotations)
    if obj.spec.ephemeral_containers:
        found += violation(f"{field}.spec.ephemeralContainers", "not allowed in a template")
    return found + pod_spec(f"{field}.spec", obj.spec, claims=claims)


def created(obj: Any) -> list[FieldViolation]:
    """What may not be so in a new pod, though it may in an old one."""
    if obj.spec.ephemeral_containers:
        return violation("spec.ephemeralContainers", "not allowed in a new pod: they are added to a running one")
    return []


def pod_spec(field: str, spec: Any, *, claims: Iterable[str] = ()) -> list[FieldViolation]:
    """What is wrong with a pod's spec, which stands at `field`.

    Args:
        field: where the spec stands.
        spec: the spec.
        claims: names of volumes that each pod gets besides those of the spec.
    """
    found = one_of(f"{field}.restartPolicy", spec.restart_policy, RESTART_POLICIES)
    found += one_of(f"{field}.dnsPolicy", spec.dns_policy, DNS_POLICIES)
    grace_s = spec.termination_grace_period_seconds
    if not 0 <= grace_s <= GRACE_SECONDS_MAX:
        found += violation(
            f"{field}.terminationGracePeriodSeconds", f"{grace_s} is not from 0 to {GRACE_SECONDS_MAX} (ten years)"
        )
    if spec.HasField("active_deadline_seconds") and spec.active_deadline_seconds < 1:
        found += violation(f"{field}.activeDeadlineSeconds", f"{spec.active_deadline_seconds} is less than 1")
    if spec.dns_policy == "None" and not spec.dns_config.nameservers:
        found += violation(f"{field}.dnsConfig.nameservers", "required where dnsPolicy is None")
    if spec.hostname:
        found += names.label_1123(f"{field}.hostname", spec.hostname)
    if spec.subdomain:
        found += names.label_1123(f"{field}.subdomain", spec.subdomain)
    if spec.node_name:
        found += names.subdomain(f"{field}.nodeName", spec.node_name)
    volumes = _volumes(f"{field}.volumes", spec.volumes, found) | set(claims)
    found += container.containers(field, spec, volumes)
    found += scheduling.validate(field, spec)
    for index, sysctl in enumerate(spec.security_context.sysctls):
        if not _SYSCTL.fullmatch(sysctl.name):
            found += violation(
                f"{field}.securityContext.sysctls[{index}].name",
                f"{names.show(sysctl.name)} is not the name of a sysctl",
            )
    for index, gate in enumerate(spec.scheduling_gates):
        found += names.label_key(f"{field}.schedulingGates[{index}].name", gate.name)
    return found


def _volumes(field: str, volumes: Any, found: list[FieldViolation]) -> set[str]:
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        here = f"{field}[{index}]"
        found += names.label_1123(f"{here}.name", volume.name)
        if volume.name in seen:
            found += violation(f"{here}.name", f"{volume.name!r} names two volumes")
        seen.add(volume.name)
        sources = [f.json_name for f, _ in volume.volume_source.ListFields()]
        if len(sources) != 1:
            what = f"{', '.join(sources)} are given" if sources else "none is given"
            found += violation(here, f"needs exactly one source, {what}")
        source = volume.volume_source
        for name in ("config_map", "secret", "projected", "downward_api"):
            if source.HasField(name):
                found += _files(f"{here}.{name}", getattr(source, name))
        if source.HasField("config_map") and not source.config_map.local_object_reference.name:
            found += violation(f"{here}.configMap.name", "required")
        if source.HasField("secret") and not source.secret.secret_name:
            found += violation(f"{here}.secret.secretName", "required")
        if source.HasField("host_path") and not source.host_path.path:
            found += violation(f"{here}.hostPath.path", "required")
        if source.HasField("persistent_volume_claim") and not source.persistent_volume_claim.claim_name:
            found += violation(f"{here}.persistentVolumeClaim.claimName", "required")
    return seen


def _files(field: str, source: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    if source.HasField("default_mode") and not 0 <= source.default_mode <= 0o777:
        found += violation(f"{field}.defaultMode", f"{source.default_mode} is not from 0 to 0777 (511)")
    for index, item in enumerate(getattr(source, "items", ())):
        here = f"{field}.items[{index}]"
        if item.HasField("mode") and not 0 <= item.mode <= 0o777:
            found += violation(f"{here}.mode", f"{item.mode} is not from 0 to 0777 (511)")
        path = PurePosixPath(item.path)
        if not item.path or path.is_absolute() or ".." in path.parts:
            found += violation(f"{here}.path", f"{names.show(item.path)} is not a relative path without '..'")
    return found


# What of a running pod's spec may change.
_MUTABLE = ("active_deadline_seconds", "tolerations", "scheduling_gates")


def validate_update(new: Any, old: Any) -> list[FieldViolation]:
    """What of a pod may not change: all of the spec but images, the deadline, more tolerations, fewer gates."""
    was, is_ = type(old.spec)(), type(new.spec)()
    was.CopyFrom(old.spec)
    is_.CopyFrom(new.spec)
    for spec in (was, is_):
        for one in (*spec.containers, *spec.init_containers):
            one.ClearField("image")
        for name in _MUTABLE:
            spec.ClearField(name)
        if old.spec.scheduling_gates:
            # A pod that is not scheduled yet may still narrow where it may run.
            spec.ClearField("node_selector")
            spec.affinity.ClearField("node_affinity")
            if not spec.affinity.ListFields():
                spec.ClearField("affinity")
    found: list[FieldViolation] = []
    if was != is_:
        changed = [f.json_name for f in was.DESCRIPTOR.fields if getattr(was, f.name) != getattr(is_, f.name)]
        allowed = "only images, activeDeadlineSeconds, tolerations (added) and schedulingGates (removed)"
        found += violation(f"spec.{changed[0]}" if changed else "spec", f"may not change: of a pod {allowed} may")
    if any(toleration not in new.spec.tolerations for toleration in old.spec.tolerations):
        found += violation("spec.tolerations", "existing ones may not be taken away or changed")
    if any(gate not in old.spec.scheduling_gates for gate in new.spec.scheduling_gates):
        found += violation("spec.schedulingGates", "none may be added")
    return found
