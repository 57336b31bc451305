"""PodTemplates."""

from __future__ import annotations

from typing import Any

from steersman.core.v1.pod_template_pb2 import PodTemplate
from steersman.defaulting.pod import pod_spec
from steersman.errors import FieldViolation
from steersman.validation import pod as validation

from apiserver.strategy import Strategy


class PodTemplateStrategy(Strategy):
    """Defaults and rules; the generation counts changes of the template."""

    message = PodTemplate

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        pod_spec(obj.template.spec)

    def prepare_create(self, obj: Any) -> None:
        """A template has no spec, and a generation nevertheless."""
        obj.metadata.generation = 1

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.template("template", obj.template)

    def generation_counts(self, new: Any, old: Any) -> bool:
        """See `Strategy.generation_counts`."""
        return bool(new.template != old.template)
