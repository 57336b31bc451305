"""Events of the group events.k8s.io: those of the core group, with other names of fields and stricter rules."""

from __future__ import annotations

from typing import Any, ClassVar

from steersman.core.v1.event_pb2 import Event as CoreEvent
from steersman.errors import FieldViolation
from steersman.events.v1.event_pb2 import Event
from steersman.validation import event as validation

from apiserver.strategy import Strategy, View

# The same fields by their names in the core group and here.
_NAMES = (
    ("metadata", "metadata"),
    ("event_time", "event_time"),
    ("series", "series"),
    ("reporting_component", "reporting_controller"),
    ("reporting_instance", "reporting_instance"),
    ("action", "action"),
    ("reason", "reason"),
    ("involved_object", "regarding"),
    ("related", "related"),
    ("message", "note"),
    ("type", "type"),
    ("source", "deprecated_source"),
    ("first_timestamp", "deprecated_first_timestamp"),
    ("last_timestamp", "deprecated_last_timestamp"),
    ("count", "deprecated_count"),
)


def _renamed(source: Any, target: Any, names: dict[str, str]) -> bytes:
    for field, value in source.ListFields():
        name = names[field.name]
        if field.message_type is None:
            setattr(target, name, value)
        else:
            # By its bytes: the message may be another one with the same fields.
            part = getattr(target, name)
            part.SetInParent()
            part.MergeFromString(value.SerializeToString())
    data: bytes = target.SerializeToString()
    return data


def shown_of(data: bytes) -> bytes:
    """An event of this group out of one of the core group."""
    return _renamed(CoreEvent.FromString(data), Event(), dict(_NAMES))


def stored_of(data: bytes) -> bytes:
    """An event of the core group out of one of this group."""
    return _renamed(Event.FromString(data), CoreEvent(), {here: core for core, here in _NAMES})


class EventV1Strategy(Strategy):
    """Rules; the objects are those of the core group."""

    message = Event
    view = View(CoreEvent, shown_of, stored_of)
    fields: ClassVar = {
        "regarding.kind": lambda event: str(event.regarding.kind),
        "regarding.namespace": lambda event: str(event.regarding.namespace),
        "regarding.name": lambda event: str(event.regarding.name),
        "regarding.uid": lambda event: str(event.regarding.uid),
        "regarding.apiVersion": lambda event: str(event.regarding.api_version),
        "reason": lambda event: str(event.reason),
        "reportingController": lambda event: str(event.reporting_controller),
        "type": lambda event: str(event.type),
    }

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.place(obj)

    def validate_create(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate_create`."""
        return validation.created(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return validation.event_update(new, old)
