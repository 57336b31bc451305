"""CronJobs."""

from __future__ import annotations

from typing import Any

from steersman.batch.v1.cron_job_pb2 import CronJob
from steersman.defaulting import job as defaulting
from steersman.errors import FieldViolation
from steersman.validation import job as validation

from apiserver.strategy import Strategy


class CronJobStrategy(Strategy):
    """Defaults and rules."""

    message = CronJob

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.cron_job(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.cron_job(obj)
