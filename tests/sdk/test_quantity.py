"""Quantities: what they mean, how they are written, what is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steersman import quantity
from steersman.quantity import QuantityError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("100m", "0.1"),
        ("0.1", "0.1"),
        (".5", "0.5"),
        ("5.", "5"),
        ("+3", "3"),
        ("-2k", "-2000"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("1E", "1e18"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("12e-3", "0.012"),
        ("7n", "7e-9"),
        ("0.1n", "1e-9"),
        ("-0.1n", "-1e-9"),
        ("9Ei", str(2**63 - 1)),
        ("100E", str(2**63 - 1)),
        ("-1e99999", str(-(2**63 - 1))),
    ],
)
def test_value(text: str, value: str) -> None:
    assert quantity.parse(text) == Decimal(value)


@pytest.mark.parametrize(
    "text", ["", "m", "1 Gi", "1gi", "1K", "1mi", "--1", "1e", "1e1.5", "0x10", "1,5", "1Mib", "NaN", "1e+", "\u0661"]
)
def test_refused(text: str) -> None:
    with pytest.raises(QuantityError, match="is not a quantity"):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("text", "millis", "units"),
    [
        ("1", 1000, 1),
        ("100m", 100, 1),
        ("1.0005", 1001, 2),
        ("1u", 1, 1),
        ("2Gi", 2147483648000, 2147483648),
        ("-1.5", -1500, -2),
    ],
)
def test_whole_numbers_are_rounded_away_from_zero(text: str, millis: int, units: int) -> None:
    assert quantity.milli(text) == millis
    assert quantity.bytes(text) == units


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1.5", "1500m"),
        ("1500m", "1500m"),
        ("1000m", "1"),
        ("1000", "1k"),
        ("1024", "1024"),
        ("1024Mi", "1Gi"),
        ("0.5Gi", "512Mi"),
        ("0.5Ki", "512"),
        ("1.5Ki", "1536"),
        ("1025Ki", "1025Ki"),
        ("1e3", "1e3"),
        ("10e2", "1e3"),
        ("12e-3", "12e-3"),
        ("0.000001", "1u"),
        ("-2500m", "-2500m"),
        ("0Gi", "0"),
        ("123.456", "123456m"),
    ],
)
def test_canonical(text: str, written: str) -> None:
    assert quantity.canonical(text) == written


@given(
    st.integers(-(10**15), 10**15),
    st.sampled_from([*quantity.DECIMAL_SUFFIXES, *quantity.BINARY_SUFFIXES, "e3", "E-3", "e6"]),
)
def test_the_canonical_form_means_the_same_and_is_its_own(number: int, suffix: str) -> None:
    written = quantity.canonical(f"{number}{suffix}")
    assert quantity.parse(written) == quantity.parse(f"{number}{suffix}")
    assert quantity.canonical(written) == written
