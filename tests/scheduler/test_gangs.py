"""Pods of a group get their nodes together, or none of them does; and no group waits for another for ever."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from steersman.core.v1 import Pod

from scheduler.bootstrap import make_schedule
from scheduler.extender import ExtenderSpec, Judgement
from scheduler.framework import Framework, Profile
from scheduler.outcomes import Inquiry, Placement, Refusal, spared
from scheduler.plugins.registry import defaults
from scheduler.reasons import Reasons
from scheduler.schedule import Schedule
from tests.scheduler.objects import node, pod
from tests.scheduler.storage_objects import claim, storage_class, using, volume


def made_schedule(*cpus: str) -> Schedule:
    schedule = make_schedule(("default-scheduler",), Reasons(), random.Random(1))
    for number, cpu in enumerate(cpus):
        schedule.node_changed(None, node(f"n{number}", cpu=cpu), 0)
    return schedule


def member(group: str, minimum: int | str, *, name: str = "", timeout_s: int | None = None, **more: Any) -> Pod:
    labels = {
        "scheduling.steersman.io/pod-group": group,
        "scheduling.steersman.io/min-available": str(minimum),
    }
    if timeout_s is not None:
        labels["scheduling.steersman.io/timeout-seconds"] = str(timeout_s)
    return pod(name, labels=labels, **more)


def arrive(schedule: Schedule, *pods: Pod, now: float = 0) -> None:
    for one in pods:
        schedule.pod_changed(None, one, now)


def everything(schedule: Schedule, now: float = 0) -> list[Any]:
    """All that is decided without anything happening in between."""
    found = []
    while (attempt := schedule.attempt(now)) is not None:
        found.append(attempt)
        assert len(found) < 1000, "decisions do not end"
    return found


def placed(outcomes: list[Any]) -> dict[str, str]:
    return {one.pod.name: one.node for one in outcomes if isinstance(one, Placement)}


def refused(outcomes: list[Any]) -> dict[str, str]:
    return {one.pod.metadata.name: one.message for one in outcomes if isinstance(one, Refusal)}


def test_a_group_that_fits_is_placed_at_once() -> None:
    schedule = made_schedule("2", "2")
    arrive(schedule, *(member("g", 4, name=f"p{number}", cpu="1") for number in range(4)))
    outcomes = everything(schedule)
    assert len(placed(outcomes)) == 4
    crews = {one.crew for one in outcomes}
    assert len(crews) == 1, "they are bound together"
    (crew,) = crews
    assert crew.quorum == 4


def test_a_group_that_does_not_fit_takes_no_room() -> None:
    schedule = made_schedule("2", "1")
    arrive(schedule, *(member("g", 4, name=f"p{number}", cpu="1") for number in range(4)))
    outcomes = everything(schedule)
    assert not placed(outcomes)
    assert not schedule.assumed
    assert not schedule.cluster.resources.requested.any()
    told = refused(outcomes)
    assert len(told) == 4
    assert sorted(told.values())[0].startswith(
        '0/2 nodes are available: 2 Insufficient cpu. pod group "g": room for 3 of 4 pods.'
    )
    assert sorted(told.values())[1] == '0/2 nodes are available: 2 pod group "g" has room for 3 of 4 pods.'
    for one in outcomes:
        assert sum(one.diagnosis.counts.values()) == one.diagnosis.nodes


def test_a_group_waits_until_it_is_complete() -> None:
    schedule = made_schedule("4")
    arrive(schedule, member("g", 3, name="a", cpu="1"), member("g", 3, name="b", cpu="1"))
    assert set(refused(everything(schedule)).values()) == {
        '0/1 nodes are available: 1 pod group "g" has 1 of the 3 pods that it needs.'.replace("1 of", "2 of")
    }
    arrive(schedule, member("g", 3, name="elsewhere", cpu="1", namespace="other"), now=100)
    assert not placed(everything(schedule, 100))
    arrive(schedule, member("g", 3, name="c", cpu="1"), now=200)
    assert set(placed(everything(schedule, 200))) == {"a", "b", "c"}


def test_more_members_than_needed_come_when_there_is_room() -> None:
    schedule = made_schedule("3")
    arrive(schedule, *(member("g", 2, name=f"p{number}", cpu="1") for number in range(4)))
    outcomes = everything(schedule)
    assert len(placed(outcomes)) == 3
    (left,) = refused(outcomes)
    schedule.node_changed(None, node("n9", cpu="1"), 100)
    assert placed(everything(schedule, 100)) == {left: "n9"}


def test_a_member_that_was_lost_is_replaced_by_itself() -> None:
    schedule = made_schedule("4")
    pods = [member("g", 3, name=f"p{number}", cpu="1") for number in range(3)]
    arrive(schedule, *pods)
    everything(schedule)
    schedule.pod_changed(pods[0], None, 10)
    arrive(schedule, member("g", 3, name="again", cpu="1"), now=10)
    assert set(placed(everything(schedule, 10))) == {"again"}


def test_a_group_is_tried_again_when_a_node_comes() -> None:
    schedule = made_schedule("2")
    arrive(schedule, *(member("g", 4, cpu="1") for _ in range(4)))
    assert not placed(everything(schedule))
    schedule.pod_changed(None, pod(on="n0", cpu="0"), 100)
    assert everything(schedule, 100) == [], "a pod that comes helps nobody"
    schedule.node_changed(None, node("n9", cpu="2"), 100)
    assert len(placed(everything(schedule, 100))) == 4


def test_a_group_without_any_node_is_tried_again_when_one_comes() -> None:
    schedule = made_schedule()
    arrive(schedule, *(member("g", 2, cpu="1") for _ in range(2)))
    assert not placed(everything(schedule))
    schedule.node_changed(None, node("n0"), 100)
    assert len(placed(everything(schedule, 100))) == 2


def test_two_groups_that_fit_one_at_a_time_do_not_block_each_other() -> None:
    schedule = made_schedule("2", "2")
    groups = {name: [member(name, 3, name=f"{name}{number}", cpu="1") for number in range(3)] for name in "ab"}
    # They come in turns, so that each has half of what it needs when the other comes.
    for pair in zip(*groups.values(), strict=True):
        arrive(schedule, *pair)
    first = placed(everything(schedule))
    assert len(first) == 3
    assert len({name[0] for name in first}) == 1, "one group is there as a whole"
    winner = next(iter(first))[0]
    for one in groups[winner]:
        schedule.pod_changed(one, None, 100)
    second = placed(everything(schedule, 100))
    assert len(second) == 3
    assert {name[0] for name in second} == {"ab".replace(winner, "")}


def test_a_binding_that_fails_brings_its_pod_back_and_no_more() -> None:
    schedule = made_schedule("3")
    arrive(schedule, *(member("g", 3, name=f"p{number}", cpu="1") for number in range(3)))
    outcomes = everything(schedule)
    for one in outcomes[1:]:
        schedule.bound(one.pod.uid)
    schedule.bind_failed(outcomes[0].pod.uid, 1)
    assert placed(everything(schedule, 100)) == {outcomes[0].pod.name: "n0"}


def test_a_group_makes_room_for_all_its_members_or_for_none() -> None:
    schedule = made_schedule("1", "1", "1")
    low = [pod(f"low{number}", cpu="1", priority=1, on=f"n{number}") for number in range(3)]
    arrive(schedule, *low)
    arrive(schedule, *(member("big", 4, cpu="1", priority=10) for _ in range(4)))
    outcomes = everything(schedule)
    assert all(one.preemption is None for one in outcomes), "three nodes are too few for four"
    arrive(schedule, *(member("g", 2, name=f"p{number}", cpu="1", priority=20) for number in range(2)), now=1)
    outcomes = everything(schedule, 1)
    pushed = {victim.name for one in outcomes if one.preemption for victim in one.preemption.victims}
    assert len(pushed) == 2
    rooms = {one.nominated for one in outcomes}
    for one in low:
        if one.metadata.name in pushed:
            schedule.pod_changed(one, None, 50)
    arrive(schedule, pod("sneaky", cpu="1"), now=50)
    found = placed(everything(schedule, 50))
    assert set(found) == {"p0", "p1"}, "the room was kept for them"
    assert set(found.values()) == rooms


def test_room_that_is_kept_for_a_group_is_given_up_in_time() -> None:
    schedule = made_schedule("1", "1")
    low = [pod(f"low{number}", cpu="1", priority=1, on=f"n{number}") for number in range(2)]
    arrive(schedule, *low)
    arrive(schedule, *(member("g", 2, cpu="1", priority=20, timeout_s=30) for _ in range(2)))
    assert {one.nominated for one in everything(schedule)} == {"n0", "n1"}
    schedule.pod_changed(low[0], None, 10)
    # Its victim on the other node does not go.
    going = Pod()
    going.CopyFrom(low[1])
    going.metadata.deletion_timestamp.seconds = 1
    schedule.pod_changed(low[1], going, 10)
    assert not placed(everything(schedule, 11))
    arrive(schedule, pod("small", cpu="1"), now=12)
    assert not placed(everything(schedule, 12)), "the room is kept"
    schedule.tend(31)
    assert not schedule.nominated
    assert set(placed(everything(schedule, 45))) == {"small"}


def test_promised_volumes_go_back_with_a_group_that_does_not_fit() -> None:
    schedule = made_schedule("1")
    schedule.class_changed(None, storage_class("wait"), 0)
    schedule.volume_changed(None, volume("only"), 0)
    for name in ("a", "b", "c"):
        schedule.claim_changed(None, claim(name), 0)
    arrive(schedule, *(member("g", 2, volumes=using(name)) for name in ("a", "b")))
    assert not placed(everything(schedule))
    arrive(schedule, pod("alone", volumes=using("c")), now=1)
    assert set(placed(everything(schedule, 1))) == {"alone"}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            {"scheduling.steersman.io/pod-group": "g"},
            "[scheduling.steersman.io/min-available]: required",
        ),
        (
            {"scheduling.steersman.io/pod-group": "g", "scheduling.steersman.io/min-available": "0"},
            "'0' is not a number from 1 to 10000",
        ),
        (
            {"scheduling.steersman.io/pod-group": "g", "scheduling.steersman.io/min-available": "many"},
            "'many' is not a number",
        ),
        (
            {
                "scheduling.steersman.io/pod-group": "g",
                "scheduling.steersman.io/min-available": "1",
                "scheduling.steersman.io/timeout-seconds": "-5",
            },
            "'-5' is not a number from 1 to 86400",
        ),
    ],
)
def test_a_group_that_makes_no_sense_is_told_so(labels: dict[str, str], message: str) -> None:
    schedule = made_schedule("4")
    schedule.pod_changed(None, pod(labels=labels), 0)
    assert schedule.attempt(0) is None
    assert message in schedule.reports.popleft().message


def test_groups_of_the_coscheduling_plugin_are_understood() -> None:
    schedule = made_schedule("1")
    name, minimum = "pod-group.scheduling.sigs.k8s.io/name", "pod-group.scheduling.sigs.k8s.io/min-available"
    arrive(schedule, *(pod(cpu="1", labels={name: "g", minimum: "2"}) for _ in range(2)))
    assert not placed(everything(schedule))
    arrive(schedule, pod("single", cpu="1", labels={"scheduling.x-k8s.io/pod-group": "elsewhere"}), now=1)
    assert set(placed(everything(schedule, 1))) == {"single"}, "whose size is unknown is scheduled by itself"


class Asked:
    """A schedule whose only extender says what the test wants it to say."""

    def __init__(self, *cpus: str) -> None:
        self.extender = ExtenderSpec("planner", "localhost:1")
        reasons = Reasons()
        self.schedule = made_schedule(*cpus)
        framework = Framework(
            Profile("default-scheduler", defaults(reasons), extenders=(self.extender,)),
            *(self.schedule.cluster, reasons, random.Random(1)),
        )
        self.schedule = Schedule(self.schedule.cluster, {"default-scheduler": framework})

    def settle(self, outcomes: list[Any], now: float, refusing: str = "", failing: str = "") -> list[Any]:
        found = []
        for one in outcomes:
            assert isinstance(one, Inquiry)
            if one.pod.name == failing:
                self.schedule.inquiry_failed(one, "out of order", now)
                continue
            refusals = dict.fromkeys(one.scores, "not here") if one.pod.name == refusing else {}
            found.append(self.schedule.settle(one, [Judgement(self.extender, refusals)], now))
        return [one for one in found if one is not None] + everything(self.schedule, now)


def test_extenders_are_asked_about_all_members_before_any_is_placed() -> None:
    asked = Asked("2", "2")
    arrive(asked.schedule, *(member("g", 3, name=f"p{number}", cpu="1") for number in range(3)))
    inquiries = everything(asked.schedule)
    assert len(inquiries) == 3
    assert not asked.schedule.assumed
    assert len(placed(asked.settle(inquiries, 1))) == 3


@pytest.mark.parametrize("fault", ["refusing", "failing"])
def test_an_extender_that_will_not_have_one_keeps_all_back(fault: str) -> None:
    asked = Asked("2", "2")
    arrive(asked.schedule, *(member("g", 3, name=f"p{number}", cpu="1") for number in range(3)))
    outcomes = asked.settle(everything(asked.schedule), 1, **{fault: "p1"})
    assert not placed(outcomes)
    assert not asked.schedule.assumed
    again = everything(asked.schedule, 400) or (asked.schedule.tend(400), everything(asked.schedule, 400))[1]
    assert len(again) == 3, "all are asked about again"
    assert len(placed(asked.settle(again, 401))) == 3


PATIENT = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@PATIENT
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(1, 2)), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
)
def test_no_group_is_ever_there_in_part(
    cpus: list[int], groups: list[tuple[int, int, int]], order: random.Random
) -> None:
    schedule = made_schedule(*(str(cpu) for cpu in cpus))
    pods = [
        member(f"g{number}", minimum, name=f"g{number}-{index}", cpu=str(cpu), priority=order.choice([0, 0, 5]))
        for number, (minimum, extra, cpu) in enumerate(groups)
        for index in range(minimum + extra)
    ]
    order.shuffle(pods)
    there: dict[str, Pod] = {}
    now = 0.0
    for _ in range(4):
        now += 400
        schedule.tend(now)
        while pods and order.random() < 0.8:
            arrive(schedule, pods.pop(), now=now)
        outcomes = everything(schedule, now)
        new: dict[str, int] = {}
        for one in outcomes:
            if isinstance(one, Placement):
                there[one.pod.name] = one.pod.message
                new[one.pod.name.split("-")[0]] = new.get(one.pod.name.split("-")[0], 0) + 1
        for number, (minimum, _, _) in enumerate(groups):
            have = sum(name.startswith(f"g{number}-") for name in there)
            if new.get(f"g{number}"):
                assert have >= minimum, "no member is placed unless there are enough"
        for row in range(schedule.cluster.height):
            here = schedule.cluster.pods.on_row.get(row, {})
            taken = sum(one.template.demand.amount("cpu") for one in here.values() if not spared(one))
            assert taken <= schedule.cluster.resources.allocatable[0, row]
        assert len(schedule.assumed) == len(there)
        for name in [*there]:
            if order.random() < 0.4:
                schedule.pod_changed(there.pop(name), None, now)
