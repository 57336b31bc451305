"""HorizontalPodAutoscalers."""

from __future__ import annotations

from typing import Any

from steersman.autoscaling.v2.horizontal_pod_autoscaler_pb2 import HorizontalPodAutoscaler
from steersman.defaulting import autoscaling as defaulting
from steersman.errors import FieldViolation
from steersman.validation import autoscaling as validation

from apiserver.strategy import Strategy


class HorizontalPodAutoscalerStrategy(Strategy):
    """Defaults and rules."""

    message = HorizontalPodAutoscaler

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.autoscaler(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.autoscaler(obj)
