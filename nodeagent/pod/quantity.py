"""Quantities of resources as numbers that cgroups and nodes understand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

from google.protobuf.wrappers_pb2 import StringValue
from steersman.quantity import QuantityError, parse

__all__ = ["QuantityError", "milli", "of", "parse", "whole"]


def of(resources: Mapping[str, StringValue], name: str) -> Decimal | None:
    """The quantity of a resource; None when it is not named.

    Raises:
        QuantityError: it is no quantity.
    """
    return parse(resources[name].value) if name in resources else None


def whole(value: Decimal) -> int:
    """The next whole number that is not smaller, as Kubernetes rounds."""
    return math.ceil(value)


def milli(value: Decimal) -> int:
    """Thousandths, rounded up."""
    return math.ceil(value * 1000)
