"""Service accounts."""

from __future__ import annotations

from typing import Any

from steersman.core.v1.service_account_pb2 import ServiceAccount

from apiserver.strategy import Strategy


class ServiceAccountStrategy(Strategy):
    """No rules of their own."""

    message = ServiceAccount

    def facts(self, obj: Any) -> str:
        """The uid: tokens are of one account, not of every account that ever had its name."""
        return str(obj.metadata.uid)
