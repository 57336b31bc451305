"""Rules of PersistentVolumeClaims and of what is made into them."""

from __future__ import annotations

from typing import Any

from steersman import quantity
from steersman.errors import FieldViolation
from steersman.validation import meta, names
from steersman.validation.meta import one_of
from steersman.validation.names import violation

ACCESS_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
ALONE = "ReadWriteOncePod"
VOLUME_MODES = ("Filesystem", "Block")
STORAGE = "storage"


def claim(obj: Any) -> list[FieldViolation]:
    """What is wrong with a PersistentVolumeClaim."""
    return spec("spec", obj.spec)


def spec(field: str, wanted: Any) -> list[FieldViolation]:
    """What is wrong with a claim's spec, which stands at `field`."""
    found = access_modes(f"{field}.accessModes", wanted.access_modes)
    found += meta.selector(f"{field}.selector", wanted.selector)
    requests = wanted.resources.requests
    if STORAGE not in requests:
        found += violation(f"{field}.resources.requests[{STORAGE}]", "required")
    else:
        found += capacity(f"{field}.resources.requests[{STORAGE}]", requests[STORAGE].value)
    if wanted.storage_class_name:
        found += names.subdomain(f"{field}.storageClassName", wanted.storage_class_name)
    if wanted.HasField("volume_mode"):
        found += one_of(f"{field}.volumeMode", wanted.volume_mode, VOLUME_MODES)
    if wanted.volume_attributes_class_name:
        found += names.subdomain(f"{field}.volumeAttributesClassName", wanted.volume_attributes_class_name)
    return found + _sources(field, wanted)


def access_modes(field: str, modes: Any) -> list[FieldViolation]:
    """Ways to use a volume: at least one, and one that stands alone alone."""
    found = [] if modes else violation(field, f"required: at least one of {', '.join(ACCESS_MODES)}")
    for index, mode in enumerate(modes):
        found += one_of(f"{field}[{index}]", mode, ACCESS_MODES)
    if ALONE in modes and len(modes) > 1:
        found += violation(field, f"{ALONE} may not be used together with others")
    return found


def capacity(field: str, text: str) -> list[FieldViolation]:
    """An amount of storage: more than none."""
    try:
        amount = quantity.parse(text)
    except ValueError as error:
        return violation(field, str(error))
    return [] if amount > 0 else violation(field, f"{text} is not greater than 0")


def _sources(field: str, wanted: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    for name, shown in (("data_source", "dataSource"), ("data_source_ref", "dataSourceRef")):
        if not wanted.HasField(name):
            continue
        source, here = getattr(wanted, name), f"{field}.{shown}"
        for part in ("kind", "name"):
            if not getattr(source, part):
                found += violation(f"{here}.{part}", "required")
        if source.api_group:
            found += names.subdomain(f"{here}.apiGroup", source.api_group)
        elif source.kind and source.kind != "PersistentVolumeClaim":
            found += violation(f"{here}.kind", "must be PersistentVolumeClaim where apiGroup is empty")
    if not wanted.HasField("data_source") or not wanted.HasField("data_source_ref"):
        return found
    one, other = wanted.data_source, wanted.data_source_ref
    if other.namespace:
        found += violation(f"{field}.dataSource", "not allowed where dataSourceRef names a namespace")
    elif (one.api_group, one.kind, one.name) != (other.api_group, other.kind, other.name):
        found += violation(f"{field}.dataSource", "must be the same as dataSourceRef")
    return found


def claim_update(new: Any, old: Any) -> list[FieldViolation]:
    """What of a claim may not change: all of the spec, but what is set once, and more storage for a bound claim."""
    bound = old.status.phase == "Bound"
    found: list[FieldViolation] = []
    for each in old.spec.DESCRIPTOR.fields:
        name, here = each.name, f"spec.{each.json_name}"
        was, now = getattr(old.spec, name), getattr(new.spec, name)
        if was == now and (not each.has_presence or old.spec.HasField(name) == new.spec.HasField(name)):
            continue
        once = (name == "volume_name" and not was) or (
            name == "storage_class_name" and not old.spec.HasField("storage_class_name")
        )
        if once or (name == "volume_attributes_class_name" and bound):
            continue
        if name == "resources" and bound:
            found += _growth(new, old)
            continue
        found += violation(here, "may not change: of a bound claim resources.requests may grow")
    return found


def _growth(new: Any, old: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    field = "spec.resources"
    if new.spec.resources.limits != old.spec.resources.limits:
        found += violation(f"{field}.limits", "may not change")
    for name in {*new.spec.resources.requests, *old.spec.resources.requests} - {STORAGE}:
        found += violation(f"{field}.requests[{name}]", "only requests of storage may change")
    least = old.status.capacity[STORAGE].value if STORAGE in old.status.capacity else ""
    try:
        if least and quantity.parse(new.spec.resources.requests[STORAGE].value) < quantity.parse(least):
            found += violation(f"{field}.requests[{STORAGE}]", f"may not be less than the {least} that there are")
    except ValueError:
        # What is no quantity is told by `claim`.
        return found
    return found
