"""Label and field selectors."""

from __future__ import annotations

import pytest
from steersman import selectors
from steersman.meta.v1 import LabelSelector
from steersman.selectors import SelectorError


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a==b", {"a": "c"}, False),
        ("a!=b", {"a": "b"}, False),
        ("a!=b", {}, True),
        ("a in (b, c)", {"a": "c"}, True),
        ("a in (b,c)", {}, False),
        ("a notin (b,c)", {}, True),
        ("a notin (b,c)", {"a": "b"}, False),
        ("a", {"a": ""}, True),
        ("a", {}, False),
        ("!a", {"a": "x"}, False),
        ("! a", {}, True),
        ("a=", {"a": ""}, True),
        ("a in (,b)", {"a": ""}, True),
        ("a=b,c,!d,e in (f)", {"a": "b", "c": "", "e": "f"}, True),
        ("example.org/a=b", {"example.org/a": "b"}, True),
        ("a>1", {"a": "2"}, True),
        ("a<1", {"a": "2"}, False),
        ("a>1", {"a": "x"}, False),
    ],
)
def test_matching(text: str, labels: dict[str, str], matches: bool) -> None:
    assert selectors.parse(text).matches(labels) is matches


@pytest.mark.parametrize(
    "text", ["a=b=c", "=b", "a in b", "a in (b", "a in ()x", "a,,b", "a b", "-a", "a=b c", "!", "a>x", "a=" * 50]
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(SelectorError):
        selectors.parse(text)


def test_a_hostile_selector_costs_no_time() -> None:
    with pytest.raises(SelectorError):
        selectors.parse("a" * 200_000 + "!")


def test_selector_messages() -> None:
    message = LabelSelector(match_labels={"a": "b"})
    message.match_expressions.add(key="c", operator="NotIn", values=["d"])
    selector = selectors.of_message(message)
    assert selector.matches({"a": "b"})
    assert not selector.matches({"a": "b", "c": "d"})
    assert selectors.of_message(LabelSelector()).matches({"anything": "x"})
    message.match_expressions.add(key="c", operator="Near")
    with pytest.raises(SelectorError, match="Near"):
        selectors.of_message(message)


def test_field_selectors() -> None:
    selector = selectors.parse_fields(r"metadata.name=a\,b,status.phase!=Running", ["metadata.name", "status.phase"])
    assert selector.matches({"metadata.name": "a,b", "status.phase": "Pending"})
    assert not selector.matches({"metadata.name": "a,b", "status.phase": "Running"})
    assert selector.exact("metadata.name") == "a,b"
    assert selector.exact("status.phase") is None
    with pytest.raises(SelectorError, match="possible: a"):
        selectors.parse_fields("b=c", ["a"])
