"""How far automatic compaction goes."""

from __future__ import annotations

import pytest

from store.compactor import Retention
from store.settings import SettingsError, parse_retention


def test_by_number_of_revisions() -> None:
    retention = Retention("revision", 100)
    assert [retention.compact_to(0, newest) for newest in (50, 100, 150)] == [0, 0, 50]


def test_by_time_goes_to_what_was_newest_then() -> None:
    retention = Retention("periodic", 60)
    seen = [retention.compact_to(now, newest) for now, newest in ((0, 10), (30, 20), (59, 25), (60, 30), (95, 40))]
    assert seen == [0, 0, 0, 10, 20]


@pytest.mark.parametrize(
    ("mode", "text", "expected"),
    [("periodic", "1", 3600), ("periodic", "30m", 1800), ("periodic", "1h30m", 5400), ("revision", "1000", 1000)],
)
def test_notation(mode: str, text: str, expected: float) -> None:
    assert parse_retention(mode, text) == expected


@pytest.mark.parametrize(("mode", "text"), [("periodic", "soon"), ("revision", "5m"), ("periodic", "5 m")])
def test_what_cannot_be_read_is_named(mode: str, text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        parse_retention(mode, text)
