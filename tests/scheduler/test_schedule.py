"""Assumptions, failures and odd input: what the scheduler takes for true, and that one bad pod does not stop others."""

from __future__ import annotations

import random
from typing import Any

import pytest
from steersman.core.v1 import Pod

from scheduler.bootstrap import make_schedule
from scheduler.framework import Framework, Profile
from scheduler.outcomes import ASSUMED_LONGEST_S, Placement, Refusal
from scheduler.plugins.plugin import Plugin
from scheduler.plugins.registry import defaults
from scheduler.reasons import Reasons
from scheduler.schedule import Schedule
from tests.scheduler.objects import node, pod


@pytest.fixture
def schedule() -> Schedule:
    return make_schedule(("default-scheduler",), Reasons(), random.Random(1))


def bound(made: Pod, name: str) -> Pod:
    changed = Pod()
    changed.CopyFrom(made)
    changed.spec.node_name = name
    return changed


def used(schedule: Schedule) -> int:
    return int(schedule.cluster.resources.requested[0].sum())


def place(schedule: Schedule, made: Pod, now: float = 0.0) -> Placement:
    schedule.pod_changed(None, made, now)
    attempt = schedule.attempt(now)
    assert isinstance(attempt, Placement), attempt
    return attempt


def test_an_assumed_pod_counts_at_once_and_its_confirmation_counts_nothing_twice(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1", cpu="1"), 0)
    made = pod("a", cpu="700m")
    place(schedule, made)
    assert used(schedule) == 700
    schedule.bound(made.metadata.uid)
    schedule.pod_changed(made, bound(made, "n1"), 0)
    assert used(schedule) == 700
    assert not schedule.assumed
    schedule.pod_changed(made, None, 0)
    assert used(schedule) == 0


def test_a_failed_binding_is_undone_and_tried_again_after_a_delay(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1", cpu="1"), 0)
    made = pod("a", cpu="1")
    place(schedule, made)
    schedule.bind_failed(made.metadata.uid, 0)
    assert used(schedule) == 0
    assert schedule.attempt(0.5) is None
    assert isinstance(schedule.attempt(1.0), Placement)


def test_a_pod_that_changed_while_it_was_bound_in_vain_is_tried_as_it_is_now(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1", cpu="1"), 0)
    made = pod("a", cpu="1")
    place(schedule, made)
    smaller = pod("a", cpu="500m")
    smaller.metadata.uid = made.metadata.uid
    schedule.pod_changed(made, smaller, 0)
    schedule.bind_failed(made.metadata.uid, 0)
    assert isinstance(schedule.attempt(0), Placement)
    assert used(schedule) == 500
    schedule.bound(made.metadata.uid)
    # The watch may still be behind; that does not bring it back into the queue.
    schedule.pod_changed(made, smaller, 0)
    assert schedule.attempt(10) is None


def test_room_that_a_failed_binding_gives_back_goes_to_one_that_waits(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1", cpu="1"), 0)
    first, second = pod("a", cpu="1"), pod("b", cpu="1")
    place(schedule, first)
    schedule.pod_changed(None, second, 0)
    assert isinstance(schedule.attempt(0), Refusal)
    schedule.bind_failed(first.metadata.uid, 5, gone=True)
    attempt = schedule.attempt(5)
    assert isinstance(attempt, Placement)
    assert attempt.pod.name == "b"


def test_a_pod_that_somebody_else_bound_elsewhere_is_believed(schedule: Schedule) -> None:
    for name in ("n1", "n2"):
        schedule.node_changed(None, node(name, cpu="1"), 0)
    made = pod("a", cpu="1")
    chosen = place(schedule, made).node
    other = "n2" if chosen == "n1" else "n1"
    schedule.pod_changed(made, bound(made, other), 0)
    schedule.bind_failed(made.metadata.uid, 0)
    assert place(schedule, pod("b", cpu="1")).node == chosen


def test_assumptions_that_nobody_confirms_come_up_for_inquiry(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1"), 0)
    place(schedule, pod("a"), 0)
    assert schedule.overdue(ASSUMED_LONGEST_S - 1) == []
    assert [one.pod.name for one in schedule.overdue(ASSUMED_LONGEST_S)] == ["a"]


def test_pods_of_a_node_that_comes_back_are_counted_again(schedule: Schedule) -> None:
    host = node("n1", cpu="1")
    made = pod("a", cpu="1", on="n1")
    schedule.pod_changed(None, made, 0)
    schedule.node_changed(None, host, 0)
    assert used(schedule) == 1000
    schedule.node_changed(host, None, 0)
    assert used(schedule) == 0
    schedule.node_changed(None, host, 0)
    assert used(schedule) == 1000
    schedule.node_changed(host, None, 0)
    schedule.pod_changed(made, None, 0)
    schedule.node_changed(None, host, 0)
    assert used(schedule) == 0


def test_a_finished_pod_leaves_its_resources(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1", cpu="1"), 0)
    made = pod("a", cpu="1", on="n1")
    schedule.pod_changed(None, made, 0)
    done = bound(made, "n1")
    done.status.phase = "Succeeded"
    schedule.pod_changed(made, done, 0)
    assert used(schedule) == 0


def test_nodes_that_are_not_ready_take_nothing_even_before_they_are_tainted(schedule: Schedule) -> None:
    host = node("n1")
    host.status.conditions.add(type="Ready", status="False")
    schedule.node_changed(None, host, 0)
    schedule.pod_changed(None, pod("a"), 0)
    attempt = schedule.attempt(0)
    assert isinstance(attempt, Refusal)
    assert "untolerated taint {node.kubernetes.io/not-ready: }" in attempt.message
    host.status.conditions[0].status = "True"
    schedule.node_changed(None, host, 2)
    assert isinstance(schedule.attempt(2), Placement)


def test_a_senseless_pod_is_told_so_and_the_others_go_on(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1"), 0)
    schedule.pod_changed(None, pod("bad", cpu="lots"), 0)
    place(schedule, pod("good"))
    report = schedule.reports.popleft()
    assert report.reason == "SchedulerError"
    assert "'lots' is not a quantity" in report.message


def test_absurd_wishes_have_clear_answers(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1"), 0)
    many = {
        "podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": f"key-{number}", "labelSelector": {"matchLabels": {"a": str(number)}}}
                for number in range(1000)
            ]
        }
    }
    for made, words in (
        (pod(cpu="1000000"), "Insufficient cpu"),
        (pod(memory="9Ei"), "Insufficient memory"),
        (pod(nodeSelector={"no": "such"}), "didn't match Pod's node affinity/selector"),
        (pod(affinity=many), "didn't match pod affinity rules"),
        (
            pod(
                topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "none", "whenUnsatisfiable": "DoNotSchedule"}]
            ),
            "missing required label",
        ),
    ):
        schedule.pod_changed(None, made, 0)
        attempt = schedule.attempt(0)
        assert isinstance(attempt, Refusal)
        assert words in attempt.message
        assert attempt.diagnosis is not None
        assert sum(attempt.diagnosis.counts.values()) == attempt.diagnosis.nodes == 1
    place(schedule, pod("good", cpu="-5"))


def test_wishes_cost_no_memory_for_ever(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1", labels={"disk": "ssd"}), 0)
    cluster = schedule.cluster
    before = len(cluster.resources.names)
    for number in range(cluster.labels.COLUMNS_MAX + 200):
        wish = pod(f"w{number}", nodeSelector={f"key-{number}": "v"}, requests={f"example.com/r{number}": "1"})
        schedule.pod_changed(None, wish, 0)
        attempt = schedule.attempt(0)
        assert isinstance(attempt, Refusal)
        schedule.pod_changed(wish, None, 0)
    assert len(cluster.labels.columns) <= cluster.labels.COLUMNS_MAX
    assert len(cluster.resources.names) == before
    place(schedule, pod("good", nodeSelector={"disk": "ssd"}))


def test_without_nodes_it_says_so(schedule: Schedule) -> None:
    schedule.pod_changed(None, pod("a"), 0)
    attempt = schedule.attempt(0)
    assert isinstance(attempt, Refusal)
    assert attempt.message.startswith("no nodes available to schedule pods")
    schedule.node_changed(None, node("n1"), 10)
    assert isinstance(schedule.attempt(10), Placement)


class Broken(Plugin):
    """Raises for pods that are labelled so."""

    name = "Broken"
    filters = True

    def filter(self, pod: Any, cluster: Any, rows: Any) -> None:
        if pod.labels.get("break"):
            raise RuntimeError("out of order")


def test_a_plugin_that_raises_harms_only_the_pod_it_was_asked_about(schedule: Schedule) -> None:
    reasons = Reasons()
    plugins = (*defaults(reasons), (Broken(reasons), 0))
    cluster = schedule.cluster
    framework = Framework(Profile("default-scheduler", plugins), cluster, reasons, random.Random(1))
    schedule = Schedule(cluster, {"default-scheduler": framework})
    schedule.node_changed(None, node("n1"), 0)
    schedule.pod_changed(None, pod("bad", labels={"break": "yes"}), 0)
    schedule.pod_changed(None, pod("good"), 0)
    with pytest.raises(RuntimeError):
        schedule.attempt(0)
    schedule.abandon(0)
    attempt = schedule.attempt(0)
    assert isinstance(attempt, Placement)
    assert attempt.pod.name == "good"
    assert schedule.queue.counts()["backing off"] == 1
