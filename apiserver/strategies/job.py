"""Jobs."""

from __future__ import annotations

from typing import Any, ClassVar

from steersman.batch.v1.job_pb2 import Job
from steersman.defaulting import job as defaulting
from steersman.errors import FieldViolation
from steersman.validation import job as validation

from apiserver.strategy import Strategy


class JobStrategy(Strategy):
    """Defaults, rules, and the selector that keeps one job's pods apart from another's."""

    message = Job
    dependents = "Orphan"
    fields: ClassVar = {"status.successful": lambda obj: str(obj.status.succeeded)}

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.job(obj)

    def prepare_create(self, obj: Any) -> None:
        """Makes the selector, out of the job's uid, unless it is the user's own."""
        obj.ClearField("status")
        spec = obj.spec
        if spec.manual_selector:
            return
        labels = spec.template.metadata.labels
        uid, name = obj.metadata.uid, obj.metadata.name
        for label, value in (
            (validation.OLD_UID_LABEL, uid),
            (validation.UID_LABEL, uid),
            (validation.OLD_NAME_LABEL, name),
            (validation.NAME_LABEL, name),
        ):
            # What the user has put there stays, and is refused where it is not this.
            if label not in labels:
                labels[label] = value
        if validation.UID_LABEL not in spec.selector.match_labels:
            spec.selector.match_labels[validation.UID_LABEL] = uid

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.job(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return validation.job_update(new, old)

    def validate_status_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_status_update`."""
        return validation.job_status_update(new, old)

    def warnings(self, obj: Any) -> list[str]:
        """See `Strategy.warnings`."""
        found = super().warnings(obj)
        return [*found, "spec.scheduling: pods are scheduled one by one"] if obj.spec.HasField("scheduling") else found
