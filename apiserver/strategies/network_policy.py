"""NetworkPolicies."""

from __future__ import annotations

from typing import Any

from steersman.defaulting import networking as defaulting
from steersman.errors import FieldViolation
from steersman.networking.v1.network_policy_pb2 import NetworkPolicy
from steersman.validation import network_policy as validation

from apiserver.strategy import Strategy


class NetworkPolicyStrategy(Strategy):
    """Defaults and rules."""

    message = NetworkPolicy

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.network_policy(obj)

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.network_policy(obj)
