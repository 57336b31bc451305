"""Quantities as Kubernetes writes them: "100m", "1.5Gi", "2e3"."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal

from google.protobuf.wrappers_pb2 import StringValue

_SUFFIXES: dict[str, Decimal] = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}
_FORM = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i))?$")


class QuantityError(ValueError):
    """A text is not a quantity.

    Attributes:
        text: what was given.
    """

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is not a quantity")
        self.text = text


def parse(text: str) -> Decimal:
    """The exact value of a quantity.

    Raises:
        QuantityError: the text is not a quantity.
    """
    match = _FORM.match(text)
    if match is None:
        raise QuantityError(text)
    number, exponent, suffix = match.groups()
    return Decimal(number + (exponent or "")) * _SUFFIXES[suffix or ""]


def of(resources: Mapping[str, StringValue], name: str) -> Decimal | None:
    """The quantity of a resource; None when it is not named."""
    return parse(resources[name].value) if name in resources else None


def whole(value: Decimal) -> int:
    """The next whole number that is not smaller, as Kubernetes rounds."""
    return math.ceil(value)


def milli(value: Decimal) -> int:
    """Thousandths, rounded up."""
    return math.ceil(value * 1000)
