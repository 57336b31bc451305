"""Pods of higher priority push out others, no more than needed, and find their place."""

from __future__ import annotations

import random

import pytest
from steersman.core.v1 import Pod
from steersman.policy.v1 import PodDisruptionBudget

from scheduler.bootstrap import make_schedule
from scheduler.outcomes import Placement, Refusal
from scheduler.reasons import Reasons
from scheduler.schedule import Schedule
from tests.scheduler.objects import node, pod


@pytest.fixture
def schedule() -> Schedule:
    return make_schedule(("default-scheduler",), Reasons(), random.Random(1))


def there(schedule: Schedule, made: Pod) -> Pod:
    schedule.pod_changed(None, made, 0.0)
    return made


def tried(schedule: Schedule, made: Pod, now: float = 1.0) -> Placement | Refusal:
    schedule.pod_changed(None, made, now)
    attempt = schedule.attempt(now)
    assert attempt is not None
    return attempt


def victims(attempt: Placement | Refusal) -> tuple[str, list[str]]:
    assert isinstance(attempt, Refusal)
    assert attempt.preemption is not None, attempt.message
    return attempt.preemption.node, [victim.name for victim in attempt.preemption.victims]


def at(made: Pod, seconds: int) -> Pod:
    made.metadata.creation_timestamp.seconds = seconds
    return made


def terminating(made: Pod) -> Pod:
    changed = Pod()
    changed.CopyFrom(made)
    changed.metadata.deletion_timestamp.seconds = 1
    return changed


def test_only_as_many_go_as_must_and_the_least_important_ones(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1", cpu="4"), 0)
    for name, cpu, priority in (("a", "1", 5), ("b", "1", 1), ("c", "2", 3)):
        there(schedule, pod(name, cpu=cpu, priority=priority, on="n1"))
    assert victims(tried(schedule, pod("high", cpu="1", priority=10))) == ("n1", ["b"])


def test_the_node_whose_victims_matter_least_is_chosen(schedule: Schedule) -> None:
    for name, priorities in (("n1", (5,)), ("n2", (1, 1)), ("n3", (1,)), ("n4", (4,))):
        schedule.node_changed(None, node(name, cpu="1"), 0)
        for number, priority in enumerate(priorities):
            share = f"{1000 // len(priorities)}m"
            there(schedule, pod(f"{name}-{number}", cpu=share, priority=priority, on=name))
    assert victims(tried(schedule, pod("high", cpu="1", priority=10))) == ("n3", ["n3-0"])


def test_of_equal_victims_the_youngest_goes(schedule: Schedule) -> None:
    for name, created in (("n1", 100), ("n2", 300), ("n3", 200)):
        schedule.node_changed(None, node(name, cpu="1"), 0)
        there(schedule, at(pod(f"on-{name}", cpu="1", priority=1, on=name), created))
    assert victims(tried(schedule, pod("high", cpu="1", priority=10))) == ("n2", ["on-n2"])


def test_nobody_goes_where_that_does_not_help(schedule: Schedule) -> None:
    schedule.node_changed(None, node("small", cpu="1"), 0)
    schedule.node_changed(None, node("tainted", taints=[{"key": "a", "value": "b", "effect": "NoSchedule"}]), 0)
    schedule.node_changed(None, node("important", cpu="2"), 0)
    there(schedule, pod("low", cpu="1", priority=0, on="small"))
    there(schedule, pod("equal", cpu="2", priority=10, on="important"))
    attempt = tried(schedule, pod("high", cpu="2", priority=10))
    assert isinstance(attempt, Refusal)
    assert attempt.preemption is None
    assert attempt.message == (
        "0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 Insufficient cpu. "
        "preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, "
        "2 Preemption is not helpful for scheduling."
    )


def test_a_pod_that_must_not_preempt_waits(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1", cpu="1"), 0)
    there(schedule, pod("low", cpu="1", on="n1"))
    attempt = tried(schedule, pod("high", cpu="1", priority=10, preemptionPolicy="Never"))
    assert isinstance(attempt, Refusal)
    assert attempt.preemption is None
    assert attempt.message.endswith("preemption: not eligible due to preemptionPolicy=Never.")


def test_the_room_is_kept_until_the_victims_are_gone(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1", cpu="2"), 0)
    low = there(schedule, pod("low", cpu="2", on="n1"))
    high = pod("high", cpu="2", priority=10)
    assert victims(tried(schedule, high)) == ("n1", ["low"])
    schedule.pod_changed(low, terminating(low), 1.1)
    schedule.pod_changed(low, None, 1.2)
    other = pod("other", cpu="1")
    schedule.pod_changed(None, other, 1.2)
    first, second = schedule.attempt(1.2), schedule.attempt(1.2)
    assert isinstance(first, Placement)
    assert (first.pod.name, first.node) == ("high", "n1")
    assert isinstance(second, Refusal), "a pod of lower priority did not take the room"


def test_room_that_is_kept_is_not_promised_twice(schedule: Schedule) -> None:
    for name in ("n1", "n2"):
        schedule.node_changed(None, node(name, cpu="1"), 0)
        there(schedule, pod(f"low-{name}", cpu="1", on=name))
    nodes = {victims(tried(schedule, pod(f"high-{number}", cpu="1", priority=10)))[0] for number in range(2)}
    assert nodes == {"n1", "n2"}
    third = tried(schedule, pod("high-3", cpu="1", priority=10))
    assert isinstance(third, Refusal)
    assert third.preemption is None


def test_a_still_higher_pod_takes_room_that_was_kept(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1", cpu="1"), 0)
    low = there(schedule, pod("low", cpu="1", on="n1"))
    tried(schedule, pod("high", cpu="1", priority=10))
    schedule.pod_changed(low, None, 1.0)
    attempt = tried(schedule, pod("highest", cpu="1", priority=20))
    assert isinstance(attempt, Placement)
    assert attempt.pod.name == "highest"


def test_a_pod_that_minds_its_neighbour_pushes_it_out(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1"), 0)
    there(schedule, pod("loud", labels={"app": "loud"}, on="n1"))
    there(schedule, pod("quiet", labels={"app": "quiet"}, on="n1"))
    away = {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"labelSelector": {"matchLabels": {"app": "loud"}}, "topologyKey": "kubernetes.io/hostname"}
            ]
        }
    }
    assert victims(tried(schedule, pod("high", priority=10, affinity=away))) == ("n1", ["loud"])


def test_nothing_is_left_behind_by_thoughts(schedule: Schedule) -> None:
    for number in range(5):
        schedule.node_changed(None, node(f"n{number}", cpu="1"), 0)
        there(schedule, pod(f"low-{number}", cpu="1", on=f"n{number}", labels={"app": "low"}))
    before = schedule.cluster.resources.requested.copy()
    high = pod("high", cpu="1", priority=10, hostNetwork=True)
    high.spec.containers[0].ports.add(container_port=80, host_port=80)
    tried(schedule, high)
    schedule.pod_changed(high, None, 2.0)
    assert (schedule.cluster.resources.requested == before).all()
    assert not schedule.nominated


def budget(
    name: str, allowed: int, labels: dict[str, str] | None, *, going: tuple[str, ...] = (), namespace: str = "default"
) -> PodDisruptionBudget:
    made = PodDisruptionBudget(metadata={"name": name, "namespace": namespace})
    if labels is not None:
        made.spec.selector.SetInParent()
        made.spec.selector.match_labels.update(labels)
    made.status.disruptions_allowed = allowed
    for pod_name in going:
        made.status.disrupted_pods[pod_name].seconds = 1
    return made


WEB, DB = {"app": "web"}, {"app": "db"}


def two_nodes(schedule: Schedule) -> None:
    """A node with a web pod, and one with a database of higher priority."""
    for name, labels, priority in (("n1", WEB, 1), ("n2", DB, 5)):
        schedule.node_changed(None, node(name, cpu="1"), 0)
        there(schedule, pod(f"on-{name}", cpu="1", priority=priority, on=name, labels=labels))


@pytest.mark.parametrize(
    ("made", "chosen"),
    [
        (None, "n1"),
        (budget("b", 1, WEB), "n1"),
        (budget("b", 0, WEB), "n2"),
        (budget("b", 0, DB), "n1"),
        (budget("b", 0, {}), "n1"),
        (budget("b", 0, None), "n1"),
        (budget("b", 0, WEB, namespace="other"), "n1"),
        (budget("b", 0, WEB, going=("on-n1",)), "n1"),
    ],
)
@pytest.mark.parametrize("ports", [False, True])
def test_a_disruption_budget_is_kept_where_another_node_will_do(
    schedule: Schedule, made: PodDisruptionBudget | None, chosen: str, ports: bool
) -> None:
    two_nodes(schedule)
    if made is not None:
        schedule.budget_changed(None, made)
    high = pod("high", cpu="1", priority=10)
    if ports:
        # Then more than resources has to be looked at.
        high.spec.containers[0].ports.add(container_port=80, host_port=80)
    attempt = tried(schedule, high)
    assert victims(attempt) == (chosen, [f"on-{chosen}"])


def test_a_budget_is_broken_when_nothing_else_helps(schedule: Schedule) -> None:
    two_nodes(schedule)
    schedule.budget_changed(None, budget("web", 0, WEB))
    schedule.budget_changed(None, budget("db", 0, DB))
    attempt = tried(schedule, pod("high", cpu="1", priority=10))
    assert victims(attempt) == ("n1", ["on-n1"])
    assert isinstance(attempt, Refusal)
    assert attempt.preemption is not None
    assert attempt.preemption.violations == 1


def test_those_whom_a_budget_protects_are_given_back_first(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1", cpu="3"), 0)
    for name, labels, priority in (("a", WEB, 1), ("b", WEB, 1), ("c", DB, 5)):
        there(schedule, pod(name, cpu="1", priority=priority, on="n1", labels=labels))
    schedule.budget_changed(None, budget("web", 0, WEB))
    assert victims(tried(schedule, pod("high", cpu="1", priority=10))) == ("n1", ["c"])
    schedule.budget_changed(budget("web", 0, WEB), None)
    assert victims(tried(schedule, pod("other", cpu="1", priority=10)))[1] != ["c"]


def test_a_budget_counts_down_within_one_node(schedule: Schedule) -> None:
    for name, number in (("n1", 2), ("n2", 2)):
        schedule.node_changed(None, node(name, cpu="2"), 0)
        for count in range(number):
            labels = WEB if name == "n1" else {"app": f"other-{count}"}
            there(schedule, pod(f"{name}-{count}", cpu="1", priority=1, on=name, labels=labels))
    schedule.budget_changed(None, budget("web", 1, WEB))
    assert victims(tried(schedule, pod("high", cpu="2", priority=10)))[0] == "n2"


def test_of_equal_pods_the_one_that_started_last_goes(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1", cpu="3"), 0)
    for name, created, started in (("a", 10, 300), ("b", 20, 100), ("c", 30, 0)):
        made = at(pod(name, cpu="1", priority=1, on="n1"), created)
        if started:
            made.status.start_time.seconds = started
        there(schedule, made)
    assert victims(tried(schedule, pod("high", cpu="1", priority=10))) == ("n1", ["c"])
    # "c" has not left yet, so that two must go for two.
    assert victims(tried(schedule, pod("next", cpu="1", priority=10)))[1] == ["a", "c"]


def test_room_that_was_made_before_a_restart_is_kept(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1", cpu="1"), 0)
    high = pod("high", cpu="1", priority=10)
    high.status.nominated_node_name = "n1"
    schedule.pod_changed(None, high, 0)
    low = pod("low", cpu="1", priority=1)
    schedule.pod_changed(None, low, 0)
    first, second = schedule.attempt(0), schedule.attempt(0)
    assert isinstance(first, Placement)
    assert first.pod.name == "high"
    assert isinstance(second, Refusal)
    assert second.nominated == ""


def test_a_refusal_says_where_room_is_kept(schedule: Schedule) -> None:
    schedule.node_changed(None, node("n1", cpu="1"), 0)
    there(schedule, pod("low", cpu="1", on="n1"))
    attempt = tried(schedule, pod("high", cpu="1", priority=10))
    assert isinstance(attempt, Refusal)
    assert attempt.nominated == "n1"
