"""Who is tried when: order, delays, waking, and that nobody is forgotten."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import booleans, data, integers, sampled_from

from scheduler.pod import PodReader
from scheduler.queue import (
    ACTIVE,
    BACKING_OFF,
    GATED,
    IN_FLIGHT,
    UNSCHEDULABLE,
    UNSCHEDULABLE_LONGEST_S,
    Queue,
    backoff_s,
)
from tests.scheduler.objects import pod

FIT = frozenset({"NodeResourcesFit"})
READER = PodReader()


def info(name: str, **spec: Any) -> Any:
    made = pod(name, **spec)
    made.metadata.uid = name
    return READER.read(made)


def names(queue: Queue, now: float) -> list[str]:
    popped = []
    while (entry := queue.pop(now)) is not None:
        popped.append(entry.pod.name)
    return popped


def test_the_highest_priority_goes_first_then_the_one_that_waited_longest() -> None:
    queue = Queue()
    for now, (name, priority) in enumerate([("a", 0), ("b", 5), ("c", 5), ("d", -1)]):
        queue.put(info(name, priority=priority), float(now))
    assert names(queue, 9) == ["b", "c", "a", "d"]


def test_a_refused_pod_is_not_tried_again_until_an_event_can_help() -> None:
    queue = Queue()
    queue.put(info("a", cpu="1"), 0)
    queue.pop(0)
    queue.refuse("a", FIT, 0)
    assert names(queue, 100) == []
    assert queue.wake(lambda _template, refused_by: "InterPodAffinity" in refused_by, 100) == 0
    assert queue.wake(lambda _template, refused_by: refused_by == FIT, 100) == 1
    assert names(queue, 100) == ["a"]


def test_woken_early_it_backs_off_for_the_rest_of_its_delay() -> None:
    queue = Queue()
    queue.put(info("a"), 0)
    queue.pop(0)
    queue.refuse("a", FIT, 0)
    queue.wake(lambda *_: True, 0.25)
    assert queue.entries["a"].state == BACKING_OFF
    assert queue.next_s(0.25) == 0.75
    assert names(queue, 0.9) == []
    assert names(queue, 1.0) == ["a"]


def test_delays_double_up_to_ten_seconds() -> None:
    assert [backoff_s(attempts) for attempts in (1, 2, 3, 4, 5, 50)] == [1, 2, 4, 8, 10, 10]


def test_nobody_is_forgotten() -> None:
    queue = Queue()
    queue.put(info("a"), 0)
    queue.pop(0)
    queue.refuse("a", FIT, 0)
    assert queue.flush(UNSCHEDULABLE_LONGEST_S - 1) == 0
    assert queue.flush(UNSCHEDULABLE_LONGEST_S) == 1
    assert names(queue, UNSCHEDULABLE_LONGEST_S) == ["a"]


def test_a_changed_pod_is_tried_at_once_a_status_update_changes_nothing() -> None:
    queue = Queue()
    queue.put(info("a", cpu="1"), 0)
    queue.pop(0)
    queue.refuse("a", FIT, 0)
    queue.put(info("a", cpu="1"), 1)
    assert names(queue, 1) == []
    queue.put(info("a", cpu="500m"), 1)
    assert names(queue, 1) == ["a"]


def test_gates_hold_a_pod_until_they_are_gone() -> None:
    queue = Queue()
    queue.put(info("a", schedulingGates=[{"name": "g"}]), 0)
    assert queue.entries["a"].state == GATED
    assert queue.wake(lambda *_: True, 1) == 0
    assert names(queue, 1000) == []
    queue.put(info("a"), 2)
    assert names(queue, 2) == ["a"]


def test_a_pod_that_changed_while_it_was_tried_is_tried_again_as_it_is_now() -> None:
    queue = Queue()
    queue.put(info("a", cpu="9"), 0)
    queue.pop(0)
    queue.put(info("a", cpu="1"), 0)
    queue.refuse("a", FIT, 0)
    assert names(queue, 0) == ["a"]
    queue.put(info("a", schedulingGates=[{"name": "g"}]), 0)
    queue.fail("a", 0)
    assert queue.entries["a"].state == GATED


def test_a_pod_that_is_gone_is_not_tried() -> None:
    queue = Queue()
    for name in ("a", "b"):
        queue.put(info(name), 0)
    queue.remove("a")
    assert names(queue, 0) == ["b"]


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens, every pod is in exactly one place and can be brought to be tried again."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue()
        self.now = 0.0
        self.flying: set[str] = set()

    @rule(name=sampled_from("abcd"), cpu=sampled_from(["1", "2"]), gated=booleans())
    def put(self, name: str, cpu: str, gated: bool) -> None:
        self.queue.put(info(name, cpu=cpu, schedulingGates=[{"name": "g"}] if gated else []), self.now)

    @rule(name=sampled_from("abcd"))
    def remove(self, name: str) -> None:
        self.queue.remove(name)
        self.flying.discard(name)

    @rule()
    def pop(self) -> None:
        entry = self.queue.pop(self.now)
        if entry is not None:
            assert not entry.pod.template.gates
            self.flying.add(entry.pod.uid)

    @rule(drawn=data(), well=booleans())
    def land(self, drawn: Any, well: bool) -> None:
        if self.flying:
            uid = drawn.draw(sampled_from(sorted(self.flying)))
            self.flying.discard(uid)
            if well:
                self.queue.refuse(uid, FIT, self.now)
            else:
                self.queue.fail(uid, self.now)

    @rule(seconds=integers(0, 12))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(helps=booleans())
    def wake(self, helps: bool) -> None:
        self.queue.wake(lambda *_: helps, self.now)

    @invariant()
    def everybody_is_somewhere(self) -> None:
        states = {uid: entry.state for uid, entry in self.queue.entries.items()}
        assert set(states.values()) <= {ACTIVE, BACKING_OFF, UNSCHEDULABLE, GATED, IN_FLIGHT}
        assert {uid for uid, state in states.items() if state == IN_FLIGHT} == self.flying
        assert self.queue.has_unschedulable() == (UNSCHEDULABLE in states.values())

    def teardown(self) -> None:
        for uid in sorted(self.flying):
            self.queue.fail(uid, self.now)
        self.queue.wake(lambda *_: True, self.now)
        expected = {uid for uid, entry in self.queue.entries.items() if entry.state != GATED}
        assert set(names(self.queue, self.now + 1000)) == expected


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(deadline=None, max_examples=200)
