"""How scores are brought to one scale, and which of two pods is tried first."""

from __future__ import annotations

import numpy as np
import pytest

from scheduler.plugins.plugin import default_normalize
from scheduler.pod import PodReader
from scheduler.queue import Queue
from tests.scheduler.objects import pod

SCALED: list[tuple[bool, list[int], list[int]]] = [
    (False, [1, 2, 3, 4], [25, 50, 75, 100]),
    (True, [1, 2, 3, 4], [75, 50, 25, 0]),
    (False, [1000, 10, 20, 30], [100, 1, 2, 3]),
    (True, [1000, 10, 20, 30], [0, 99, 98, 97]),
    (False, [1, 1, 1, 1], [100, 100, 100, 100]),
    (False, [1000, 1, 1, 1], [100, 0, 0, 0]),
    (True, [0, 1, 1, 1], [100, 0, 0, 0]),
]


@pytest.mark.parametrize(("reverse", "given", "expected"), SCALED)
def test_scaled(reverse: bool, given: list[int], expected: list[int]) -> None:
    assert default_normalize(np.array(given, np.int64), reverse=reverse).tolist() == expected


# (priority and time of one, the same of the other, whether the first goes first)
ORDER = [((10, 0), (100, 0), False), ((100, 0), (10, 0), True), ((100, 1), (100, 2), True), ((100, 2), (100, 1), False)]


@pytest.mark.parametrize(("one", "other", "first"), ORDER)
def test_order(one: tuple[int, int], other: tuple[int, int], first: bool) -> None:
    queue, reader = Queue(), PodReader()
    made = {name: reader.read(pod(name, priority=priority)) for name, (priority, _) in (("one", one), ("other", other))}
    for name, (_, since) in sorted((("one", one), ("other", other)), key=lambda entry: entry[1][1]):
        queue.put(made[name], since)
    entry = queue.pop(10)
    assert entry is not None
    assert (entry.pod.name == "one") is first
