"""Rules of events; those of the group events.k8s.io are stricter than those of the core group."""

from __future__ import annotations

from typing import Any

from steersman.errors import FieldViolation
from steersman.validation import names
from steersman.validation.meta import one_of
from steersman.validation.names import violation
from steersman.validation.workload import unchanged

CHARACTERS_MAX = 128
NOTE_BYTES_MAX = 1024
_OLD = ("deprecated_source", "deprecated_first_timestamp", "deprecated_last_timestamp", "deprecated_count")


def core(obj: Any) -> list[FieldViolation]:
    """What is wrong with an event of the core group: it is kept beside what it is about."""
    about = obj.involved_object.namespace
    if obj.metadata.namespace != (about or "default") and not (not about and obj.metadata.namespace):
        return violation("involvedObject.namespace", f"{about!r} is not the event's namespace")
    return []


def created(obj: Any) -> list[FieldViolation]:
    """What is wrong with a new event."""
    found: list[FieldViolation] = []
    if not obj.HasField("event_time"):
        found += violation("eventTime", "required")
    if obj.reporting_controller:
        found += names.label_key("reportingController", obj.reporting_controller)
    for name in ("reporting_controller", "reporting_instance", "action", "reason"):
        shown, value = obj.DESCRIPTOR.fields_by_name[name].json_name, getattr(obj, name)
        if not value:
            found += violation(shown, "required")
        elif len(value) > CHARACTERS_MAX:
            found += violation(shown, f"{len(value)} characters, at most {CHARACTERS_MAX}")
    if len(obj.note.encode()) > NOTE_BYTES_MAX:
        found += violation("note", f"{len(obj.note.encode())} bytes, at most {NOTE_BYTES_MAX}")
    found += one_of("type", obj.type, ("Normal", "Warning"))
    for field, value in obj.ListFields():
        if field.name in _OLD and (field.message_type is None or value.ListFields()):
            found += violation(field.json_name, "is for events of the core group")
    return found


def place(obj: Any) -> list[FieldViolation]:
    """An event is kept beside what it is about."""
    about, here = obj.regarding.namespace, obj.metadata.namespace
    if about and about != here:
        return violation("regarding.namespace", f"{about!r} is not the event's namespace")
    return []


def event_update(new: Any, old: Any) -> list[FieldViolation]:
    """What of an event may not change: everything but its repetitions."""
    return unchanged(new, old, "", besides=("metadata", "series"))
