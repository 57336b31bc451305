"""Kubernetes' quantities: "500m", "1.5", "128Mi", "2e3" as exact numbers, and back in canonical form.

Three families of suffixes exist and a quantity stays in its family: decimal (n u m - k M G T P E), binary (Ki Mi Gi Ti
Pi Ei) and exponents (e3, E-2). Finer than a billionth is rounded away from zero, and no magnitude exceeds 2^63 - 1.
"""

from __future__ import annotations

import decimal
import re
from decimal import Decimal
from functools import lru_cache

DECIMAL_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
}
BINARY_SUFFIXES = {
    name: Decimal(1024 ** (power + 1)) for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))
}

LARGEST = Decimal(2**63 - 1)
FINEST = Decimal("1e-9")

# Digits are never given back: however long a text is, it is looked at once.
_FORM = re.compile(r"([+-]?)(\d++\.?\d*+|\.\d++)([a-zA-Z]*|[eE][+-]?\d++)", re.ASCII)
# Far more than any amount needs, and few enough to calculate with.
CHARACTERS_MAX = 256
_EXPONENT = re.compile(r"[eE][+-]?\d{1,6}", re.ASCII)
# Wide enough for the largest number of the grammar times the finest unit, exactly.
_CONTEXT = decimal.Context(prec=100, rounding=decimal.ROUND_UP, Emax=10_000_000, Emin=-10_000_000)


class QuantityError(ValueError):
    """A text is no quantity.

    Attributes:
        text: the text.
    """

    def __init__(self, text: str, reason: str) -> None:
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        super().__init__(f"{shown!r} is not a quantity: {reason}")
        self.text = text


def _split(text: str) -> tuple[Decimal, str]:
    """Number (without its suffix) and suffix."""
    if len(text) > CHARACTERS_MAX:
        raise QuantityError(text, f"it has {len(text)} characters, at most {CHARACTERS_MAX} are possible")
    match = _FORM.fullmatch(text)
    if match is None:
        raise QuantityError(text, "a number and a suffix such as m, k, M, Ki, Mi or e3 are expected")
    sign, digits, suffix = match.groups()
    if suffix not in DECIMAL_SUFFIXES and suffix not in BINARY_SUFFIXES and not _EXPONENT.fullmatch(suffix):
        raise QuantityError(text, f"unknown suffix {suffix!r}; known are n u m k M G T P E, Ki Mi Gi Ti Pi Ei and e3")
    return Decimal(sign + digits), suffix


def _factor(suffix: str) -> Decimal:
    if suffix in DECIMAL_SUFFIXES:
        return DECIMAL_SUFFIXES[suffix]
    if suffix in BINARY_SUFFIXES:
        return BINARY_SUFFIXES[suffix]
    return _CONTEXT.scaleb(Decimal(1), max(-100_000, min(100_000, int(suffix[1:]))))


@lru_cache(maxsize=65536)
def parse(text: str) -> Decimal:
    """The number that a quantity stands for, exactly.

    Raises:
        QuantityError: the text is no quantity.
    """
    number, suffix = _split(text)
    value = _CONTEXT.multiply(number, _factor(suffix))
    if abs(value) > LARGEST:
        return LARGEST.copy_sign(value)
    if value and abs(value) < FINEST:
        return FINEST.copy_sign(value)
    return _CONTEXT.quantize(value, FINEST).normalize(_CONTEXT)


@lru_cache(maxsize=65536)
def milli(text: str) -> int:
    """The quantity in thousandths, as processors are counted; a finer rest is rounded away from zero.

    Raises:
        QuantityError: the text is no quantity.
    """
    scaled = _CONTEXT.multiply(parse(text), Decimal(1000))
    return _bounded(scaled)


@lru_cache(maxsize=65536)
def whole(text: str) -> int:
    """The quantity in whole units; a fraction is rounded away from zero.

    Raises:
        QuantityError: the text is no quantity.
    """
    return _bounded(parse(text))


# Memory and storage are counted in bytes, whole ones.
bytes = whole


def _bounded(value: Decimal) -> int:
    return max(-int(LARGEST), min(int(LARGEST), int(value.to_integral_value(decimal.ROUND_UP))))


def canonical(text: str) -> str:
    """The quantity as Kubernetes writes it: no fraction, the largest suffix that needs none, in the same family.

    "1500m" and "1.5" are "1500m", "1024Mi" is "1Gi", "0.5Gi" is "512Mi", "1000" is "1k".

    Raises:
        QuantityError: the text is no quantity.
    """
    _, suffix = _split(text)
    value = parse(text)
    if suffix in BINARY_SUFFIXES:
        return show(value, binary=True)
    if suffix not in DECIMAL_SUFFIXES:
        return _show_exponent(value)
    return show(value)


def show(value: Decimal | int, *, binary: bool = False) -> str:
    """A number as a canonical quantity of the decimal or the binary family.

    Binary suffixes are for 1024 and more; a smaller number is written with decimal ones.
    """
    value = Decimal(value)
    if not value:
        return "0"
    if binary and abs(value) >= 1024:
        rounded = value.to_integral_value(decimal.ROUND_UP)
        for name, factor in reversed(BINARY_SUFFIXES.items()):
            if not rounded % factor:
                return f"{int(rounded / factor)}{name}"
        return str(int(rounded))
    for name, factor in reversed(DECIMAL_SUFFIXES.items()):
        scaled = _CONTEXT.divide(value, factor)
        if scaled == scaled.to_integral_value():
            return f"{int(scaled)}{name}"
    return f"{int(_CONTEXT.quantize(value, FINEST).scaleb(9))}n"


def _show_exponent(value: Decimal) -> str:
    """The exponents go in steps of three, as the suffixes do."""
    if not value:
        return "0"
    for exponent in range(18, -10, -3):
        scaled = _CONTEXT.scaleb(value, -exponent)
        if scaled == scaled.to_integral_value():
            return f"{int(scaled)}e{exponent}" if exponent else str(int(scaled))
    return f"{int(_CONTEXT.scaleb(value, 9))}e-9"
