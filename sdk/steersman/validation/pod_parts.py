"""Rules of what of a pod changes by verbs of its own: containers for looking into it, and its resources."""

from __future__ import annotations

from typing import Any

from steersman.errors import FieldViolation
from steersman.qos import qos_class
from steersman.validation.names import violation

MIRROR = "kubernetes.io/config.mirror"
RESIZABLE = ("cpu", "memory")
# What containers for looking into a pod have no use for: they are not started again, and nothing waits for them.
_NOT_EPHEMERAL = (
    "ports",
    "resources",
    "liveness_probe",
    "readiness_probe",
    "startup_probe",
    "lifecycle",
    "resize_policy",
)


def take_ephemeral_containers(pod: Any, wanted: Any) -> list[FieldViolation]:
    """Puts the ephemeral containers of another object, defaults filled in, into a pod; what is wrong with that."""
    found = _not_static(pod)
    field = "spec.ephemeralContainers"
    given = {each.ephemeral_container_common.name: each for each in wanted.spec.ephemeral_containers}
    before = {each.ephemeral_container_common.name: each for each in pod.spec.ephemeral_containers}
    for name in before:
        if name not in given:
            found += violation(field, f"{name!r} may not be taken away")
    targets = {each.name for each in (*pod.spec.containers, *pod.spec.init_containers)}
    for index, each in enumerate(wanted.spec.ephemeral_containers):
        name, here = each.ephemeral_container_common.name, f"{field}[{index}]"
        if name in before:
            if each != before[name]:
                found += violation(here, f"{name!r} may not be changed")
            continue
        found += _new(here, each, targets)
        pod.spec.ephemeral_containers.add().CopyFrom(each)
    return found


def _new(field: str, container: Any, targets: set[str]) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    common = container.ephemeral_container_common
    for name in _NOT_EPHEMERAL:
        part = common.DESCRIPTOR.fields_by_name[name]
        if len(getattr(common, name)) if part.is_repeated else common.HasField(name):
            found += violation(f"{field}.{part.json_name}", "not allowed in an ephemeral container")
    for index, mount in enumerate(common.volume_mounts):
        for name, shown in (("sub_path", "subPath"), ("sub_path_expr", "subPathExpr")):
            if getattr(mount, name):
                found += violation(f"{field}.volumeMounts[{index}].{shown}", "not allowed in an ephemeral container")
    if container.target_container_name and container.target_container_name not in targets:
        found += violation(
            f"{field}.targetContainerName", f"the pod has no container {container.target_container_name!r}"
        )
    return found


def take_resources(pod: Any, wanted: Any) -> list[FieldViolation]:
    """Puts what the containers of another object request and may use into a pod; what is wrong with that."""
    found = _not_static(pod)
    before = qos_class(pod.spec)
    for shown, mine, theirs in (
        ("containers", pod.spec.containers, wanted.spec.containers),
        ("initContainers", pod.spec.init_containers, wanted.spec.init_containers),
    ):
        given = {container.name: container for container in theirs}
        for index, container in enumerate(mine):
            if container.name not in given:
                continue
            here = f"spec.{shown}[{index}].resources"
            resources = given[container.name].resources
            found += _changed(here, resources, container.resources)
            if shown == "initContainers" and container.restart_policy != "Always":
                if resources != container.resources:
                    found += violation(here, "may not change: the container runs to its end before others start")
                continue
            container.resources.CopyFrom(resources)
            given.pop(container.name)
        for name in given:
            if name not in {container.name for container in mine}:
                found += violation(f"spec.{shown}", f"the pod has no container {name!r}")
    if qos_class(pod.spec) != before:
        found += violation("spec", f"the class of service may not change from {before} to {qos_class(pod.spec)}")
    return found


def _changed(field: str, new: Any, old: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    for part in ("requests", "limits"):
        now, was = getattr(new, part), getattr(old, part)
        for name in sorted({*now, *was}):
            here = f"{field}.{part}[{name}]"
            same = name in now and name in was and now[name] == was[name]
            if name not in RESIZABLE and not same:
                found += violation(here, f"only {' and '.join(RESIZABLE)} may change")
            elif name not in now:
                found += violation(here, "may not be taken away")
    if list(new.claims) != list(old.claims):
        found += violation(f"{field}.claims", "may not change")
    return found


def _not_static(pod: Any) -> list[FieldViolation]:
    if MIRROR in pod.metadata.annotations:
        return violation("", "a pod that a node has from a file is changed there")
    return []
