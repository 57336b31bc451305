"""Events."""

from __future__ import annotations

from typing import Any, ClassVar

from steersman.core.v1.event_pb2 import Event
from steersman.errors import FieldViolation
from steersman.validation import event as validation

from apiserver.strategy import Strategy


class EventStrategy(Strategy):
    """Selection by what an event is about."""

    message = Event
    fields: ClassVar = {
        "involvedObject.kind": lambda event: str(event.involved_object.kind),
        "involvedObject.namespace": lambda event: str(event.involved_object.namespace),
        "involvedObject.name": lambda event: str(event.involved_object.name),
        "involvedObject.uid": lambda event: str(event.involved_object.uid),
        "involvedObject.apiVersion": lambda event: str(event.involved_object.api_version),
        "reason": lambda event: str(event.reason),
        "reportingComponent": lambda event: str(event.reporting_component),
        "source": lambda event: str(event.source.component),
        "type": lambda event: str(event.type),
    }

    def validate(self, obj: Any) -> list[FieldViolation]:
        """An event is kept beside what it is about; about what has no namespace, in `default`."""
        return validation.core(obj)
