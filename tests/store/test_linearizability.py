"""The checker itself: it must accept what can have been, and reject what cannot."""

from __future__ import annotations

import pytest

from tests.store.linearizability import FOREVER, Operation, is_linearizable


def w(value: str, begun: float, ended: float = FOREVER, key: str = "k") -> Operation:
    return Operation(key, True, value, begun, ended)


def r(value: str | None, begun: float, ended: float, key: str = "k") -> Operation:
    return Operation(key, False, value, begun, ended)


@pytest.mark.parametrize(
    "history",
    [
        [],
        [r(None, 0, 1), w("a", 2, 3), r("a", 4, 5)],
        [w("a", 0, 10), r(None, 1, 2), r("a", 3, 4)],
        [w("a", 0, 1), w("b", 2, FOREVER), r("a", 3, 4), r("b", 5, 6)],
        [w("a", 0, 1), w("lost", 2, FOREVER), r("a", 3, 4)],
        [w("a", 0, 10), w("b", 0, 10), r("b", 11, 12)],
        [w("a", 0, 1, "x"), r(None, 2, 3, "y")],
    ],
)
def test_possible_histories(history: list[Operation]) -> None:
    assert is_linearizable(history)


@pytest.mark.parametrize(
    "history",
    [
        # A lost write.
        [w("a", 0, 1), r(None, 2, 3)],
        # A stale read.
        [w("a", 0, 1), w("b", 2, 3), r("a", 4, 5)],
        # Going back in time.
        [w("a", 0, 1), w("b", 2, 10), r("b", 3, 4), r("a", 5, 6)],
        # A value from nowhere.
        [w("a", 0, 1), r("z", 2, 3)],
        # A write that is seen before it began.
        [r("a", 0, 1), w("a", 2, 3)],
        # Two readers that disagree about the order of two writes.
        [w("a", 0, 10), w("b", 0, 10), r("a", 11, 12), r("b", 13, 14)],
        # An unanswered write that is seen, and then is not.
        [w("a", 0, 1), w("b", 2, FOREVER), r("b", 3, 4), r("a", 5, 6)],
    ],
)
def test_impossible_histories(history: list[Operation]) -> None:
    assert not is_linearizable(history)
