"""The order of `--sort-by`: by what a JSONPath finds in each object. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, TypeVar

from steersman.cli import jsonpath
from steersman.quantity import QuantityError, parse

T = TypeVar("T")
_DIGITS = re.compile(r"(\d+)")


class SortError(ValueError):
    """Objects cannot be put in this order; the message says why."""


def by_path(path: str, items: Sequence[T], data: Sequence[Any]) -> list[T]:
    """The items in the order of what a path finds in the plain data of each.

    Numbers and quantities (500m, 2Gi) go by size, texts so that 2 is before 10, and what is not there comes first. What
    is equal stays in order.

    Raises:
        SortError: the path makes no sense, or finds nothing in any object, or several values in one.
    """
    try:
        template = jsonpath.relaxed(path)
        found = [template.find(one) for one in data]
    except jsonpath.JsonPathError as error:
        raise SortError(f"--sort-by {path}: {error}") from error
    if items and not any(found):
        raise SortError(f"--sort-by {path}: no object has such a field")
    several = next((values for values in found if len(values) > 1), None)
    if several is not None:
        raise SortError(f"--sort-by {path}: it finds {len(several)} values in one object")
    values = [one[0] if one else None for one in found]
    numbers = _numbers(values)
    sizes: list[Any] = numbers or [_natural("" if value is None else jsonpath.show(value)) for value in values]
    order = [(value is not None, size) for value, size in zip(values, sizes, strict=True)]
    return [items[index] for index in sorted(range(len(items)), key=lambda index: order[index])]


def _numbers(values: Sequence[Any]) -> list[Decimal] | None:
    """The values as numbers, if all that there are can be read so."""
    numbers = []
    for value in values:
        if value is None:
            numbers.append(Decimal(0))
        elif isinstance(value, (int, float)):
            numbers.append(Decimal(str(int(value) if isinstance(value, bool) else value)))
        else:
            try:
                numbers.append(Decimal(parse(str(value))))
            except (QuantityError, ArithmeticError):
                return None
    return numbers


def _natural(text: str) -> list[tuple[bool, int, str]]:
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in _DIGITS.split(text) if part]
