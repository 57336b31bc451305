"""Rules of metadata, the same for all kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from steersman.errors import FieldViolation
from steersman.selectors import SelectorError, of_message
from steersman.validation import names
from steersman.validation.names import violation

Names = Callable[[str], list[FieldViolation]]


def validate(metadata: Any, *, namespaced: bool, name_rule: Names) -> list[FieldViolation]:
    """What is wrong with an object's metadata."""
    found: list[FieldViolation] = []
    if not metadata.name:
        found += violation("metadata.name", "required (or metadata.generateName)")
    else:
        found += name_rule(metadata.name)
    if namespaced:
        if not metadata.namespace:
            found += violation("metadata.namespace", "required")
        else:
            found += names.label_1123("metadata.namespace", metadata.namespace)
    elif metadata.namespace:
        found += violation("metadata.namespace", "objects of this kind live in no namespace")
    found += names.labels("metadata.labels", metadata.labels)
    found += names.annotation_map("metadata.annotations", metadata.annotations)
    for index, value in enumerate(metadata.finalizers):
        found += names.finalizer(f"metadata.finalizers[{index}]", value)
    found += _owners(metadata.owner_references)
    return found


def _owners(references: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    controllers = 0
    for index, reference in enumerate(references):
        field = f"metadata.ownerReferences[{index}]"
        for name, value in (
            ("apiVersion", reference.api_version),
            ("kind", reference.kind),
            ("name", reference.name),
            ("uid", reference.uid),
        ):
            if not value:
                found += violation(f"{field}.{name}", "required")
        controllers += reference.controller
    if controllers > 1:
        found += violation("metadata.ownerReferences", f"{controllers} owners are marked as controller, at most 1")
    return found


_FROZEN = (
    ("name", "metadata.name"),
    ("namespace", "metadata.namespace"),
    ("uid", "metadata.uid"),
    ("creation_timestamp", "metadata.creationTimestamp"),
)


def validate_update(new: Any, old: Any) -> list[FieldViolation]:
    """What of metadata may not change the way it does."""
    found: list[FieldViolation] = []
    for attribute, field in _FROZEN:
        if getattr(new, attribute) != getattr(old, attribute):
            found += violation(field, "may not change")
    if old.HasField("deletion_timestamp"):
        added = [value for value in new.finalizers if value not in old.finalizers]
        if added:
            found += violation("metadata.finalizers", f"none may be added to an object that is being deleted: {added}")
    return found


def selector(field: str, message: Any) -> list[FieldViolation]:
    """What is wrong with a `LabelSelector`."""
    found = names.labels(f"{field}.matchLabels", message.match_labels)
    try:
        of_message(message)
    except SelectorError as error:
        found += violation(f"{field}.matchExpressions", f"{error.text!r}: {error.reason}")
    return found


def one_of(field: str, value: str, choices: tuple[str, ...]) -> list[FieldViolation]:
    """A value that must be one of a few."""
    return [] if value in choices else violation(field, f"{names.show(value)} is not one of {', '.join(choices)}")


def not_negative(field: str, value: int) -> list[FieldViolation]:
    """A number that may not be below zero."""
    return [] if value >= 0 else violation(field, f"{value} is negative")
